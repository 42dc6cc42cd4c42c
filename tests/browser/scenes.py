"""A service that looks lived in: a past of an hour, jobs in every state, a queue that nobody listens to."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from task_app.jobs import faults, service, transitions
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.states import State
from task_app.jobs.submission import Submission

from ..acceptance.stack import Stack
from ..factories import job_row

PAST_JOBS = 900
HOUR = 3600

#: Task, queue, arguments, usual seconds of a run, errors it knows.
WORK: tuple[tuple[str, str, dict[str, Any], float, tuple[tuple[str, str], ...]], ...] = (
    (
        "send_email",
        "celery",
        {"to": "ada@example.org", "subject": "Your invoice"},
        0.4,
        (("MailDelayed", "451 try again later"),),
    ),
    ("process", "celery", {"total": 40}, 4.0, (("ValueError", "row 17 has no date"), ("KeyError", "'customer_id'"))),
    ("add", "celery", {"a": 2, "b": 3}, 0.02, ()),
    ("flaky", "imports", {"failures": 2}, 1.5, (("FailedOnPurpose", "failure 3 of 3, as asked for"),)),
    ("long_task", "imports", {}, 12.0, (("TimeLimitExceeded", "TimeLimitExceeded(30,)"),)),
)


def fill(stack: Stack) -> dict[str, str]:
    """Give the table a past and a present; returns the ids of the jobs that pages are shown of."""
    dice = random.Random(7)
    now = datetime.now(UTC)
    rows = [_ended(dice, now, dice.random() ** 0.8 * HOUR) for _ in range(PAST_JOBS)]
    with stack.app.app_context(), runtime().engine.connect() as connection:
        transitions.insert_jobs(connection, rows)
        return _present()


def _ended(dice: random.Random, now: datetime, ago: float) -> dict[str, Any]:
    task, queue, kwargs, usual, errors = dice.choices(WORK, weights=(6, 3, 8, 2, 1))[0]
    waited, ran = dice.expovariate(1 / 0.2), dice.lognormvariate(0, 0.5) * usual
    created = now - timedelta(seconds=ago)
    started = created + timedelta(seconds=waited)
    finished = min(now, started + timedelta(seconds=ran))
    state, error = State.SUCCESS, None
    luck = dice.random()
    if errors and luck < 0.12:
        kind, message = dice.choice(errors)
        state, error = (
            State.FAILURE,
            faults.fault(kind, "builtins", [message], message) | {"traceback": _traceback(kind, message)},
        )
    elif luck > 0.985:
        state, error = State.REVOKED, faults.revoked("cancelled")
    return job_row(
        task=task,
        queue=queue,
        args="[]",
        kwargs=json.dumps(kwargs),
        state=state,
        created_at=created,
        dispatch_at=None,
        published_at=created + timedelta(milliseconds=2),
        started_at=started,
        finished_at=finished,
        worker=f"{queue}@host-{dice.randint(1, 2)}",
        result="5" if state == State.SUCCESS else None,
        error_type=error and error["type"],
        error=error and json.dumps(error),
        tags=json.dumps(["monthly"]) if luck < 0.03 else None,
    )


def _traceback(kind: str, message: str) -> str:
    return (
        "Traceback (most recent call last):\n"
        '  File "/srv/app/tasks/reports.py", line 48, in process\n'
        "    total = sum(row.amount for row in rows)\n"
        f"{kind}: {message}\n"
    )


def _present() -> dict[str, str]:
    def submit(task: str, kwargs: dict[str, Any], **more: Any) -> str:
        return service.submit(Submission(task=task, args="[]", kwargs=json.dumps(kwargs), **more)).id

    return {
        "running": submit("process", {"total": 600, "step_seconds": 0.1}, tags=("monthly", "reports")),
        "retried": submit("flaky", {"failures": 2}),
        "failed": submit("send_welcome_email", {"user_id": 4711}),
        "unheard": submit("add", {"a": 1, "b": 2}, queue="reports"),
        "later": submit("add", {"a": 1, "b": 2}, due_at=utcnow() + timedelta(hours=3)),
        "succeeded": submit("process", {"total": 12, "step_seconds": 0.05}),
    }
