"""What one can do to jobs. Every door (HTTP, command line, Celery's own calls) comes through here.

Functions need an app context. Each commits what it does before it returns: a job that `submit` has returned is in the
table.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy.exc import IntegrityError

from ..errors import IllegalMove, JobExists, JobNotFound, ValueNotStorable
from . import faults, queries, transitions
from .database import transaction
from .publishing import publish, publish_by_id
from .rows import new_row
from .runtime import runtime, utcnow
from .states import State, WaitReason, is_final, is_running, is_waiting
from .submission import Outgoing, Submission
from .view import JobView

logger = logging.getLogger(__name__)

TAG_LENGTH = 100

#: How long sending the replacements of a task may take before its id is given up and the task runs again.
REPLACING_TAKES_AT_MOST = timedelta(seconds=60)


# -- reading -----------------------------------------------------------------------------------------------------


def get(job_id: str) -> JobView:
    """Return a job. Raises JobNotFound."""
    with runtime().engine.connect() as connection:
        job = queries.get(connection, job_id)
    if job is None:
        raise JobNotFound(job_id)
    return job


def page(wanted: queries.Filter, *, limit: int, after: tuple[datetime, str] | None = None) -> list[JobView]:
    """Return up to `limit` jobs, newest first, after the (created_at, id) of the last one seen."""
    with runtime().engine.connect() as connection:
        return queries.page(connection, wanted, limit=limit, after=after)


# -- submitting --------------------------------------------------------------------------------------------------


class Taken(Enum):
    """What to do when the id of a submission is taken."""

    REFUSE = "an id brought by a client must be new"
    SAME = "sending the same job twice makes one job; another job under its id is refused"
    KEEP = "an attempt that runs again sends its frozen signatures again; what was sent first stays"


def submit(submission: Submission, *, taken: Taken = Taken.REFUSE) -> JobView:
    """Accept a job: its row is committed, then its message is sent.

    When the broker doesn't take the message, the job is accepted all the same and a dispatcher publishes it later.
    Raises JobExists as `taken` says, and ValueNotStorable for arguments over the limit.
    """
    values = _row(submission, alarm=runtime().dispatch_grace)
    try:
        with _connection_for(values) as connection:
            transitions.insert_jobs(connection, [values])
    except IntegrityError:
        job_id = values["id"]
        if taken is Taken.REFUSE:
            raise JobExists(job_id) from None
        if _unblock(values):
            return get(job_id)
        job = _existing(job_id)
        same = (job.task, job.args_json, job.kwargs_json) == (values["task"], values["args"], values["kwargs"])
        if not same and taken is not Taken.KEEP:
            raise JobExists(job_id) from None
        return job
    _publish_if_due(values)
    return JobView.from_row(values)


def submit_many(submissions: Sequence[Submission]) -> list[str]:
    """Accept all of these jobs or none, in one transaction; dispatchers publish them. Returns their ids in order.

    Raises JobExists for the first id that is taken, in the table or within the batch, and ValueNotStorable.
    """
    rows = [_row(submission, alarm=timedelta(0)) for submission in submissions]
    ids = [row["id"] for row in rows]
    seen: set[str] = set()
    for job_id in ids:
        if job_id in seen:
            raise JobExists(job_id)
        seen.add(job_id)
    try:
        with transaction(runtime().engine) as connection:
            transitions.insert_jobs(connection, rows)
    except IntegrityError:
        with runtime().engine.connect() as connection:
            taken = queries.existing_ids(connection, ids)
        raise JobExists(next(job_id for job_id in ids if job_id in taken)) from None
    return ids


def _unblock(values: dict[str, Any]) -> bool:
    with runtime().engine.connect() as connection:
        if not transitions.unblock(connection, values["id"], values=values, wake_at=values["dispatch_at"]):
            return False
    if values["due_at"] is None or values["due_at"] <= values["created_at"]:
        publish_by_id(values["id"])
    return True


def _existing(job_id: str) -> JobView:
    job = get(job_id)
    if is_waiting(job.state) and job.published_at is None and (job.due_at is None or job.due_at <= utcnow()):
        # The first try may have died between its commit and its message.
        publish_by_id(job_id)
    return job


def _row(submission: Submission, alarm: timedelta) -> dict[str, Any]:
    """Make the row of a new job; `alarm` is when a dispatcher looks at it if it is due now."""
    here = runtime()
    _check_size(submission.args, submission.kwargs)
    if here.publisher is not None:
        submission = here.publisher.route(submission)
    now = utcnow()
    due_later = submission.due_at is not None and submission.due_at > now
    return new_row(
        id=submission.id,
        task=submission.task,
        args=submission.args,
        kwargs=submission.kwargs,
        queue=submission.queue,
        priority=submission.priority,
        retries=submission.retries,
        tags=_tags(submission.tags),
        message=json.dumps(submission.message) if submission.message else None,
        parent_id=submission.parent_id,
        root_id=submission.root_id,
        group_id=submission.group_id,
        created_at=now,
        due_at=submission.due_at,
        expires_at=submission.expires_at,
        dispatch_at=submission.due_at if due_later else now + alarm,
    )


def _check_size(args: str, kwargs: str) -> None:
    size, limit = len(args) + len(kwargs), runtime().arguments_limit
    if size > limit:
        raise ValueNotStorable(f"the arguments are {size} bytes of JSON; the limit is {limit} (JOB_ARGUMENTS_LIMIT)")


def _tags(tags: Iterable[str]) -> str | None:
    """Write tags as JSON, each once. Outer white space goes: MariaDB takes "a" and "a " for the same key."""
    distinct = list(dict.fromkeys(tag.strip() for tag in tags))
    for tag in distinct:
        if not tag.isprintable() or not 1 <= len(tag) <= TAG_LENGTH:
            raise ValueNotStorable(f"a tag is 1 to {TAG_LENGTH} printable characters, not {tag!r}")
    return json.dumps(distinct) if distinct else None


def _connection_for(values: dict[str, Any]) -> Any:
    """A lone INSERT is its own transaction; with tags there are two statements."""
    engine = runtime().engine
    return engine.connect() if values["tags"] is None else transaction(engine)


def _publish_if_due(values: dict[str, Any]) -> None:
    if values["due_at"] is not None and values["due_at"] > values["created_at"]:
        return
    job = Outgoing(**{name: values[name] for name in Outgoing.__dataclass_fields__})
    values.update(publish(job))


# -- steering ----------------------------------------------------------------------------------------------------


def cancel(job_id: str) -> JobView:
    """Cancel a job: revoked at once while it waits; while it runs, its worker is told through the row.

    Raises JobNotFound, and IllegalMove when the job has ended.
    """
    error = faults.revoked("cancelled")
    with runtime().engine.connect() as connection:
        # Between two looks a job may be claimed or retried, so each state is tried until one look holds.
        while True:
            if transitions.cancel_waiting(connection, job_id, error=error, now=utcnow()):
                _tell_who_waits(job_id)
                break
            if transitions.cancel_running(connection, job_id, now=utcnow()):
                break
            found = queries.row(connection, job_id, "state", "cancel_requested_at")
            if found is None:
                raise JobNotFound(job_id)
            if is_final(found["state"]):
                raise IllegalMove(job_id, "cancel", found["state"])
            if found["cancel_requested_at"] is not None and not is_waiting(found["state"]):
                break  # somebody has asked already
    return get(job_id)


def retry(job_id: str, *, args: str | None = None, kwargs: str | None = None) -> JobView:
    """Run an ended job once more, with the same or edited arguments (JSON texts); its earlier attempts stay on record.

    Raises JobNotFound, and IllegalMove when the job has not ended.
    """
    here = runtime()
    with here.engine.connect() as connection:
        job = queries.get(connection, job_id)
        if job is None:
            raise JobNotFound(job_id)
        args, kwargs = job.args_json if args is None else args, job.kwargs_json if kwargs is None else kwargs
        _check_size(args, kwargs)
        now = utcnow()
        line = transitions.history_line(
            attempt=job.attempt,
            state=job.state,
            worker=job.worker,
            started_at=job.started_at,
            finished_at=job.finished_at or now,
            error=job.error,
        )
        moved = transitions.run_again(
            connection,
            job_id,
            job.attempt,
            args=args,
            kwargs=kwargs,
            line=line,
            wake_at=now + here.dispatch_grace,
        )
    if not moved:
        raise IllegalMove(job_id, "retry", get(job_id).state)
    publish_by_id(job_id)
    return get(job_id)


def delete(job_id: str) -> None:
    """Remove an ended job for good. Raises JobNotFound, and IllegalMove when the job has not ended."""
    with runtime().engine.connect() as connection:
        if transitions.delete_ended(connection, job_id):
            return
        found = queries.row(connection, job_id, "state")
    if found is None:
        raise JobNotFound(job_id)
    if is_final(found["state"]):
        raise IllegalMove(job_id, "delete", f"{found['state']}, and a chord that has not ended needs it")
    raise IllegalMove(job_id, "delete", found["state"])


def requeue(job_id: str, attempt: int, submission: Submission) -> bool:
    """The running attempt asked for another one (`Task.retry`).

    The row moves; the message follows when the error of this attempt is recorded, or from a dispatcher.
    """
    here = runtime()
    values = _row(replace(submission, id=job_id), alarm=here.dispatch_grace)
    with here.engine.connect() as connection:
        return transitions.requeue(connection, job_id, attempt, values=values, wake_at=values["dispatch_at"])


@contextmanager
def replacing(job_id: str, attempt: int) -> Iterator[None]:
    """Send, inside this block, what takes the place of the running attempt (`Task.replace`).

    The job waits under its id for the last of the replacements. Should this process die half way, the alarm rings and
    the task runs once more.
    """
    here = runtime()
    with here.engine.connect() as connection:
        transitions.block(
            connection, job_id, attempt, reason=WaitReason.REPLACEMENT, wake_at=utcnow() + REPLACING_TAKES_AT_MOST
        )
    yield
    with here.engine.connect() as connection:
        transitions.clear_alarm(connection, job_id, attempt + 1)


def give_up_attempt(job_id: str, attempt: int, *, reason: str, max_rescues: int | None) -> State | None:
    """An attempt is lost with its worker: give the job another one, or end it when that has happened too often.

    `max_rescues` None says that the job can't be the cause (its worker was told to stop): the loss isn't counted.
    Idempotent: the guard lets one caller win. Returns the new state, or None when nothing moved.
    """
    now = utcnow()
    with runtime().engine.connect() as connection:
        job = queries.held_job(connection, job_id)
        if job is None or job.attempt != attempt or not is_running(job.state):
            return None
        if job.cancel_requested_at is not None:
            moved = transitions.end_badly(
                connection, job_id, attempt, state=State.REVOKED, error=faults.revoked("cancelled"), now=now
            )
            return _ended(job_id, State.REVOKED) if moved else None
        if max_rescues is not None and job.rescues >= max_rescues:
            fault = faults.worker_lost(
                f"given up: {job.rescues + 1} attempts were lost with their worker; the last: {reason}"
            )
            moved = transitions.end_badly(connection, job_id, attempt, state=State.FAILURE, error=fault, now=now)
            return _ended(job_id, State.FAILURE) if moved else None
        fault = faults.worker_lost(reason)
        line = transitions.history_line(
            attempt=attempt, state="LOST", worker=job.worker, started_at=job.started_at, finished_at=now, error=fault
        )
        # The alarm rings at once: whoever notices a loss has no message to send.
        moved = transitions.rescue(
            connection, job_id, attempt, error=fault, line=line, counted=max_rescues is not None, wake_at=now
        )
    if not moved:
        return None
    logger.warning("job %s goes back to waiting: attempt %d was lost: %s", job_id, attempt, reason)
    return State.RETRY


def _ended(job_id: str, state: State) -> State:
    _tell_who_waits(job_id)
    return state


def _tell_who_waits(job_id: str) -> None:
    """Let chords, chains and errbacks learn of an outcome that was not written through Celery."""
    tell = runtime().after_end
    if tell is not None:
        try:
            tell(job_id)
        except Exception:
            # The outcome stands; what hangs on it must not undo the answer to who asked for it.
            logger.exception("the end of job %s could not be passed on", job_id)
