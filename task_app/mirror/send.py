"""Every send becomes a row first. `TaskCelery.send_task` ends here, and with it every producer in Python."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from traceback import format_exception
from typing import Any

from celery import Celery
from celery.exceptions import Retry
from celery.result import AsyncResult
from dateutil.parser import isoparse
from flask import Flask
from kombu import Queue
from kombu.utils.functional import maybe_list

from ..context import app_context
from ..errors import JobCancelled
from ..jobs import service
from ..jobs.ids import new_id
from ..jobs.service import Taken
from ..jobs.states import State
from ..jobs.submission import Sender, Submission
from . import codec
from .patience import insist
from .request import attempt_of, claim_of, is_limit, line_of

#: Options of `apply_async` that travel in the row's `message` under their own names.
CARRIED = (
    "chain",
    "chord",
    "compression",
    "exchange",
    "group_index",
    "ignore_result",
    "max_retries",
    "replaced_task_nesting",
    "reply_to",
    "routing_key",
    "shadow",
    "soft_time_limit",
    "stamped_headers",
    "time_limit",
)


def send(
    celery: Celery,
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    *,
    result_cls: Any = None,
    add_to_parent: bool = True,
    on_commit: bool = False,
    **options: Any,
) -> AsyncResult:
    """Accept a job and publish it, or move the running job on when it is itself being sent again (`retry`).

    Takes the options of `Task.apply_async`, and `tags` (strings) and `max_retries` besides. With `on_commit` the job is
    stored in the transaction of `db.session`, and published when that commits.
    Raises JobExists when the id belongs to another job, ValueNotStorable for arguments that aren't JSON or too large,
    JobCancelled when the running job may not go on.
    """
    flask_app: Flask = celery.flask_app
    current = celery.current_worker_task
    running = current.request if current is not None else None
    submission = _submission(celery, name, args, kwargs, running, options)
    with app_context(flask_app):
        if (
            running is not None
            and submission.id == running.id
            and not running.is_eager
            and "blocked" not in running.__dict__
        ):
            _requeue(celery, running, submission)
            job_id, add_to_parent = running.id, False
        elif on_commit:
            job_id = service.submit_on_commit(submission, followers=_steps_after(celery, submission))
        elif running is None or running.is_eager:
            job_id = service.submit(submission, followers=_steps_after(celery, submission), taken=Taken.SAME).id
        else:
            job_id = _submit_from(running, submission, _steps_after(celery, submission))
    result: AsyncResult = (result_cls or celery.AsyncResult)(job_id)
    result.ignored = bool(submission.message.get("ignore_result"))
    if add_to_parent and current is not None:
        current.add_trail(result)
    return result


def _requeue(celery: Celery, running: Any, submission: Submission) -> None:
    """The running job asks for another attempt. Waits while the database is away, as every write of a worker does."""
    attempt, tries = attempt_of(running), 0
    cause = getattr(running, "job_retry_cause", None) or Retry()
    error = celery.backend.fault_of(cause, "".join(format_exception(cause)))
    line = line_of(running, State.RETRY, error)

    def move() -> bool:
        nonlocal tries
        tries += 1
        return service.requeue(
            running.id, attempt, submission, error=error, line=line, claimed_at=claim_of(running)
        ) or (
            # An earlier try may have been committed although this process saw an error.
            tries > 1 and service.waits_for_attempt(running.id, attempt + 1)
        )

    if not insist(move, f"the next attempt of {running.id}"):
        raise JobCancelled(f"attempt {attempt} of {running.id} was cancelled or given up")


def _submit_from(running: Any, submission: Submission, followers: list[Submission]) -> str:
    """Accept what a running job sends. With an id from the start, trying again makes no second job."""
    known = replace(submission, id=submission.id or new_id())
    sender = Sender(running.id, attempt_of(running), claim_of(running))
    return insist(
        lambda: service.submit(known, followers=followers, taken=Taken.KEEP, sender=sender).id,
        f"what job {running.id} sends",
    )


def _steps_after(celery: Celery, submission: Submission) -> list[Submission]:
    """Return the later steps of a chain, in order, as far as they are plain tasks with an id."""
    steps = []
    for step in reversed(submission.message.get("chain") or ()):
        options = dict(step.get("options") or {})
        if step.get("subtask_type") or not options.get("task_id"):
            break  # a group or chord: its own sending makes its rows
        # When it is sent, its arguments and due time are written anew.
        for moment in ("countdown", "eta", "expires"):
            options.pop(moment, None)
        steps.append(_submission(celery, step["task"], step.get("args"), step.get("kwargs"), None, options))
    return steps


def submission_of(celery: Celery, signature: Any, **more: Any) -> Submission:
    """Return what a frozen signature asks for."""
    found = _submission(celery, signature.task, signature.args, signature.kwargs, None, dict(signature.options))
    return replace(found, **more)


def _submission(
    celery: Celery,
    name: str,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    running: Any,
    options: dict[str, Any],
) -> Submission:
    if args is not None and not isinstance(args, list | tuple):
        raise TypeError("task args must be a list or tuple")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError("task keyword arguments must be a mapping")
    for limit in ("soft_time_limit", "time_limit"):
        if options.get(limit) is not None and not is_limit(options[limit]):
            raise ValueError(f"{limit} must be a number of seconds, not {options[limit]!r}")
    parent_id, root_id = options.get("parent_id"), options.get("root_id")
    if running is not None:
        parent_id = parent_id or running.id
        root_id = root_id or running.root_id or running.id
    queue = options.get("queue")
    if isinstance(queue, Queue):
        if queue.name not in celery.amqp.queues:
            celery.amqp.queues.add(queue)
        queue = queue.name
    now = datetime.now(UTC)
    return Submission(
        task=name,
        args=codec.dumps(list(args or ()), "the arguments"),
        kwargs=codec.dumps(dict(kwargs or {}), "the keyword arguments"),
        id=options.get("task_id"),
        queue=queue,
        priority=options.get("priority"),
        due_at=_moment(options.get("eta"), options.get("countdown"), now, celery),
        expires_at=_moment(options.get("expires"), None, now, celery),
        tags=tuple(options.get("tags") or ()),
        parent_id=parent_id,
        root_id=root_id,
        group_id=options.get("group_id"),
        retries=options.get("retries") or 0,
        message=_message(options, running),
    )


def _message(options: Mapping[str, Any], running: Any) -> dict[str, Any]:
    """Keep what else the message must carry, so that it can be made again from the row alone."""
    message = {key: options[key] for key in CARRIED if _is_given(options.get(key))}
    for key in ("link", "link_error"):
        if options.get(key):
            message[key] = maybe_list(options[key])
    headers = {key: value for key, value in (options.get("headers") or {}).items() if not key.startswith("job_")}
    for stamp in options.get("stamped_headers") or ():
        headers[stamp] = options.get(stamp)
    if headers:
        message["headers"] = headers
    if (
        running is not None
        and options.get("task_id") == running.id
        and getattr(running, "job_max_retries", None) is not None
    ):
        message.setdefault("max_retries", running.job_max_retries)
    return message and _plain(message)


def _is_given(option: Any) -> bool:
    """Tell a choice from Celery's ways to say nothing; 0 is a choice (`max_retries=0`)."""
    return option is not None and option is not False and option not in ("", [], {})


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """Turn signatures and Celery's other mappings into what JSON gives back, once, here."""
    plain: dict[str, Any] = codec.loads(codec.dumps(message, "the message"))
    return plain


def _moment(value: Any, countdown: float | None, now: datetime, celery: Celery) -> datetime | None:
    """Turn what Celery accepts as a time (datetime, ISO text, seconds from now) into an aware datetime."""
    if countdown is not None and not value:
        value = countdown
    if value is None:
        return None
    if isinstance(value, int | float):
        return now + timedelta(seconds=value)
    if isinstance(value, timedelta):
        return now + value
    moment = isoparse(value) if isinstance(value, str) else value
    if moment.tzinfo is None:
        # Celery reads naive times in its configured zone.
        moment = moment.replace(tzinfo=celery.timezone)
    return moment.astimezone(UTC)
