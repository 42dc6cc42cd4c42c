"""What one can do to jobs. Every door (HTTP, command line, Celery's own calls) comes through here.

Functions need an app context. Each commits what it does before it returns: a job that `submit` has returned is in the
table.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping
from sqlalchemy.exc import IntegrityError

from ..errors import IllegalMove, JobExists, JobNotFound, ValueNotStorable, ValueUnreadable
from . import family as families
from . import faults, lists, on_commit, queries, queue_control, queues, reasons, transitions, triage, workers
from .database import transaction
from .family import Family
from .file_uses import mention_files, note_more_uses
from .followers import refuse_without_input, revive
from .outcome import tell_who_waits
from .packing import Unreadable, load, show
from .publishing import publish, publish_by_id
from .rows import new_row
from .runtime import runtime, utcnow
from .states import State, WaitReason, is_final, is_running, is_waiting
from .submission import AWAITS, Outgoing, Sender, Submission
from .view import JobView
from .workers import MISSED_BEATS

logger = logging.getLogger(__name__)

TAG_LENGTH = 100
QUEUE_NAME_LENGTH = 255

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


def get_many(job_ids: Sequence[str]) -> dict[str, JobView]:
    """Return those of these jobs that exist, by id."""
    with runtime().engine.connect() as connection:
        return queries.get_many(connection, job_ids)


def page(wanted: lists.Filter, *, limit: int, after: lists.Place | None = None) -> lists.Page:
    """Return up to `limit` jobs, newest first, from after the place where the last page ended."""
    with runtime().engine.connect() as connection:
        return lists.page(connection, wanted, limit=limit, after=after)


def count(wanted: lists.Filter) -> lists.Count:
    """Count jobs; `at_least` says that there may be more."""
    with runtime().engine.connect() as connection:
        return lists.count(connection, wanted)


def names(field: str, prefix: str = "") -> list[str]:
    """Return values of a filter (`lists.NAMED`) that jobs have and that begin so."""
    with runtime().engine.connect() as connection:
        return lists.names(connection, field, prefix)


def earlier_runs(job: JobView) -> lists.Runs:
    """Return ended runs of the same task that were asked for before this job."""
    with runtime().engine.connect() as connection:
        return lists.earlier_runs(connection, job.task, job.created_at)


def family(job_id: str) -> Family:
    """Return the relatives of a job. Raises JobNotFound."""
    with runtime().engine.connect() as connection:
        found = families.family(connection, job_id)
    if found is None:
        raise JobNotFound(job_id)
    return found


def failures(since: datetime | None = None, *, resolved: bool | None = False) -> triage.Triage:
    """Return failures by type of error and task, those with the most first; see `triage.failures`."""
    with runtime().engine.connect() as connection:
        return triage.failures(connection, since, resolved=resolved)


def counts() -> dict[str, int]:
    """Return how many jobs are in each state; `lists.COUNT_LIMIT` means that many or more."""
    with runtime().engine.connect() as connection:
        return lists.counts(connection)


def depths() -> list[lists.Depth]:
    """Return the queues in which jobs wait for a worker; `lists.COUNT_LIMIT` jobs mean that many or more."""
    with runtime().engine.connect() as connection:
        return lists.depths(connection, utcnow())


def queue_views() -> list[queues.QueueView]:
    """Return every queue that is known: it holds jobs, a living worker listens to it, or it is paused."""
    here = runtime()
    with here.engine.connect() as connection:
        return queues.overview(connection, silence=MISSED_BEATS * here.watch.interval)


def queue_view(name: str) -> queues.QueueView:
    """Return one queue; of one that nobody knows, that nothing waits in it and nobody listens."""
    return next((queue for queue in queue_views() if queue.name == name), queues.QueueView(name=name))


def worker_views() -> list[workers.WorkerView]:
    """Return all workers on record, latest first, with what can be said of them."""
    here = runtime()
    with here.engine.connect() as connection:
        return workers.overview(
            connection, interval=here.watch.interval, timeout=here.watch.timeout, patience=here.watch.patience
        )


def broker_problem() -> str | None:
    """Return why the broker could not be reached a moment ago, from here or for a job that is due; else None."""
    here = runtime()
    refusal = here.publisher.refusal() if here.publisher is not None else None
    if refusal is not None:
        return refusal
    with here.engine.connect() as connection:
        return queries.publish_problem(connection, utcnow())


def explain(job: JobView, *, rate_limit: str | None = None) -> reasons.Explanation | None:
    """Say why a job is not running, or how its run is; None when it has ended. `rate_limit` is that of its task."""
    here, now = runtime(), utcnow()
    with here.engine.connect() as connection:
        if is_running(job.state):
            return reasons.explain_running(connection, job, now, watch=here.watch)
        return reasons.explain(connection, job, now, watch=here.watch, rate_limit=rate_limit)


# -- submitting --------------------------------------------------------------------------------------------------


class Taken(Enum):
    """What to do when the id of a submission is taken."""

    REFUSE = "an id brought by a client must be new"
    SAME = "sending the same job twice makes one job; another job under its id is refused"
    KEEP = "an attempt that runs again sends its frozen signatures again; what was sent first stays"


def submit(
    submission: Submission,
    *,
    followers: Sequence[Submission] = (),
    taken: Taken = Taken.REFUSE,
    sender: Sender | None = None,
) -> JobView:
    """Accept a job: its row is committed, then its message is sent.

    When the broker doesn't take the message, the job is accepted all the same and a dispatcher publishes it later.
    `followers` are the later steps of its chain, in order; each gets a row that waits for the step before. `sender` is
    the running job that sends it, if one does.
    Raises JobExists as `taken` says, and ValueNotStorable for arguments over the limit.
    """
    values = _row(submission, alarm=runtime().dispatch_grace)
    try:
        _insert(values, followers)
    except IntegrityError:
        job_id = values["id"]
        if taken is Taken.REFUSE:
            raise JobExists(job_id) from None
        if _unblock(values, sender):
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


def _unblock(values: dict[str, Any], sender: Sender | None) -> bool:
    # What waited for others could not have run before now, whatever it says in `created_at`.
    values["due_at"] = values["due_at"] or values["created_at"]
    with _one_or_several(files := _mentions_files(values)) as connection:
        if not transitions.unblock(connection, values["id"], values=values, wake_at=values["dispatch_at"], by=sender):
            return False
        if files:
            note_more_uses(connection, values["id"], values["args"], values["kwargs"])
    if not _is_due_later(values):
        publish_by_id(values["id"])
    return True


def _existing(job_id: str) -> JobView:
    job = get(job_id)
    unsent = job.published_at is None and (job.id, job.attempt) not in runtime().marks and job.blocked_by is None
    if is_waiting(job.state) and unsent and (job.due_at is None or job.due_at <= utcnow()):
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
    # A broker that was away a moment ago is not asked again by each: the row says why, and a dispatcher will see.
    refusal = None if due_later or here.publisher is None else here.publisher.refusal()
    alarm = timedelta(0) if refusal else alarm
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
        publish_error=refusal,
    )


def _stored(text: str) -> str:
    """Return arguments for another run. Raises ValueUnreadable: nobody knows what they were."""
    if isinstance(text, Unreadable):
        raise ValueUnreadable(f"{text.problem}; give other arguments")
    return text


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


def _insert(values: dict[str, Any], followers: Sequence[Submission]) -> None:
    """A lone INSERT is its own transaction; with tags, files or followers there are several statements."""
    on_commit.refuse_if_session_writes()
    several = values["tags"] is not None or bool(followers) or _mentions_files(values)
    with _one_or_several(several) as connection:
        _insert_with(connection, values, followers)


def _mentions_files(values: Mapping[str, Any]) -> bool:
    return mention_files(values["args"], values["kwargs"])


def _one_or_several(several: bool) -> AbstractContextManager[Connection]:
    """Return a connection for one statement, or for several in a transaction."""
    engine = runtime().engine
    return transaction(engine) if several else engine.connect()


def _insert_with(connection: Connection, values: dict[str, Any], followers: Sequence[Submission]) -> None:
    transitions.insert_jobs(connection, [values])
    if not followers:
        return
    known = queries.existing_ids(connection, [step.id for step in followers if step.id])
    before, rows = values["id"], []
    for step in followers:
        if step.id not in known:
            rows.append(waiting_row(replace(step, parent_id=before, root_id=values["root_id"]), WaitReason.CHAIN))
        before = step.id
    if rows:
        transitions.insert_jobs(connection, rows)


def submit_on_commit(submission: Submission, *, followers: Sequence[Submission] = ()) -> str:
    """Accept a job within the transaction of the caller's `db.session`; returns its id.

    A rollback leaves no job; the commit publishes it. Should the process die in between, a dispatcher publishes it.
    Raises JobExists, after which the session's transaction can go on, and ValueNotStorable.
    """
    values = _row(submission, alarm=runtime().dispatch_grace)
    try:
        with on_commit.session_connection(own_id=submission.id is not None) as connection:
            _insert_with(connection, values, followers)
    except IntegrityError:
        raise JobExists(values["id"]) from None
    if not _is_due_later(values):
        on_commit.publish_after_commit(values["id"])
    return str(values["id"])


def waiting_row(submission: Submission, reason: WaitReason) -> dict[str, Any]:
    """Make the row of a job that waits for others; `transitions.unblock` follows when they have ended."""
    marked = replace(submission, message=submission.message | {AWAITS: reason})
    return _row(marked, alarm=timedelta(0)) | {"dispatch_at": None, "publish_error": None, "blocked_by": reason}


def submit_waiting(submission: Submission, reason: WaitReason) -> None:
    """Accept a job that waits for others. Does nothing when its id is taken: an attempt that runs again sends again."""
    values = waiting_row(submission, reason)
    with suppress(IntegrityError), _one_or_several(_mentions_files(values)) as connection:
        transitions.insert_jobs(connection, [values])


def _is_due_later(values: dict[str, Any]) -> bool:
    return values["due_at"] is not None and values["due_at"] > values["created_at"]


def _publish_if_due(values: dict[str, Any]) -> None:
    if _is_due_later(values) or values["publish_error"] is not None:
        return
    job = Outgoing(**{name: values[name] for name in Outgoing.__dataclass_fields__})
    values.update(publish(job))


# -- steering ----------------------------------------------------------------------------------------------------


def cancel(job_id: str, *, running_too: bool = True) -> JobView:
    """Cancel a job: revoked at once while it waits; while it runs, its worker is told through the row.

    What it has sent, or what was to follow it, and nobody has started, is revoked with it. The job that comes back says
    what became of it: REVOKED, or running with `cancel_requested_at` set. With `running_too` False a running job is
    left alone.
    Raises JobNotFound, and IllegalMove when the job has ended.
    """
    error = faults.revoked("cancelled")
    with runtime().engine.connect() as connection:
        # Between two looks a job may be claimed or retried, so each state is tried until one look holds.
        while True:
            if transitions.cancel_waiting(connection, job_id, error=error, now=utcnow()):
                break
            if running_too and transitions.cancel_running(connection, job_id, now=utcnow()):
                break
            found = queries.row(connection, job_id, "state", "cancel_requested_at")
            if found is None:
                raise JobNotFound(job_id)
            if is_final(found["state"]):
                raise IllegalMove(job_id, "cancel", found["state"])
            if is_running(found["state"]) and (found["cancel_requested_at"] is not None or not running_too):
                break  # somebody has asked already, or nobody may
    job = get(job_id)
    if job.state == State.REVOKED or job.cancel_requested_at is not None:
        cancel_offspring(job_id)
    if job.state == State.REVOKED:
        tell_who_waits(job_id)
    return job


def cancel_offspring(job_id: str) -> None:
    """Revoke what a cancelled job has sent, or what was to follow it, as far as nobody has started it."""
    error, ended = faults.revoked(f"cancelled with {job_id}"), []
    with runtime().engine.connect() as connection:
        family = queries.waiting_children(connection, [job_id]) + _parts_of_its_header(connection, job_id)
        while family:
            cancelled = [
                child
                for child in family
                if child != job_id and transitions.cancel_waiting(connection, child, error=error, now=utcnow())
            ]
            ended += cancelled
            family = queries.waiting_children(connection, cancelled) if cancelled else []
    # Afterwards: telling looks for offspring again, and finds none left.
    for child in ended:
        tell_who_waits(child)


def _parts_of_its_header(connection: Connection, job_id: str) -> list[str]:
    """Return the unstarted parts of the chord whose body was cancelled before it was sent."""
    found = queries.row(connection, job_id, "message")
    header = load(found["message"]).get("header") if found and found["message"] else None
    return queries.waiting_parts(connection, header) if header else []


def retry(job_id: str, *, args: str | None = None, kwargs: str | None = None, attempt: int | None = None) -> JobView:
    """Run an ended job once more, with the same or edited arguments (JSON texts); its earlier attempts stay on record.

    What was to follow it, and ended because it failed, waits for it again. With `attempt`, only if it is this one that
    has ended: who asks twice gets one.
    Raises JobNotFound, IllegalMove when the job has not ended, InputMissing (an IllegalMove) when it never got its
    arguments from what it waited for and none are given, and ValueUnreadable when its row is damaged and none are.
    """
    here = runtime()
    with transaction(here.engine) as connection:
        job = queries.get(connection, job_id)
        if job is None:
            raise JobNotFound(job_id)
        if attempt is not None and attempt != job.attempt:
            raise IllegalMove(job_id, f"retry attempt {attempt} of", f"at attempt {job.attempt}")
        if args is None and kwargs is None and is_final(job.state):
            refuse_without_input(connection, job_id)
        args, kwargs = (
            _stored(job.args_json) if args is None else args,
            _stored(job.kwargs_json) if kwargs is None else kwargs,
        )
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
        if moved:
            revive(connection, job_id)
            note_more_uses(connection, job_id, args, kwargs)
    if not moved:
        raise IllegalMove(job_id, "retry", get(job_id).state)
    published_at = publish_by_id(job_id).get("published_at")
    again = get(job_id)
    return replace(again, published_at=again.published_at or published_at)


def resolve(job_id: str, *, resolved: bool = True) -> JobView:
    """Say that somebody has dealt with a failure, or, with `resolved` False, that nobody has. Safe to repeat.

    Retrying the job takes it back. Raises JobNotFound, and IllegalMove for what is not a failure.
    """
    with runtime().engine.connect() as connection:
        if resolved:
            transitions.resolve(connection, job_id, now=utcnow())
        else:
            transitions.unresolve(connection, job_id)
    job = get(job_id)
    if job.state != State.FAILURE:
        raise IllegalMove(job_id, "resolve", job.state)
    return job


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


def prunable(states: Sequence[str], ended_before: datetime) -> lists.Count:
    """Count the jobs that `prune` would delete."""
    limit = lists.COUNT_LIMIT
    with runtime().engine.connect() as connection:
        found = [len(queries.prunable(connection, state, ended_before, limit=limit)) for state in states]
    return lists.Count(sum(found), limit in found)


def prune(state: str, ended_before: datetime, limit: int) -> int:
    """Delete up to `limit` jobs that ended in this state before a moment, oldest first; return how many were."""
    with runtime().engine.connect() as connection:
        old = queries.prunable(connection, state, ended_before, limit=limit)
        return transitions.delete_many_ended(connection, old) if old else 0


def requeue(
    job_id: str,
    attempt: int,
    submission: Submission,
    *,
    error: dict[str, Any],
    line: str,
    claimed_at: datetime | None = None,
) -> bool:
    """The running attempt asked for another one (`Task.retry`), because of this error; `line` is for the history.

    The row moves; the message follows when Celery records the retry, or from a dispatcher.
    """
    values = _row(replace(submission, id=job_id), alarm=runtime().dispatch_grace)
    with _one_or_several(files := _mentions_files(values)) as connection:
        moved = transitions.requeue(
            connection,
            job_id,
            attempt,
            values=values,
            error=error,
            line=line,
            claimed_at=claimed_at,
            wake_at=values["dispatch_at"],
        )
        if moved and files:
            note_more_uses(connection, job_id, values["args"], values["kwargs"])
    return moved


def waits_for_attempt(job_id: str, attempt: int) -> bool:
    """Say whether this is the attempt that the job waits to run next."""
    with runtime().engine.connect() as connection:
        found = queries.row(connection, job_id, "state", "attempt")
    return found is not None and found["attempt"] == attempt and is_waiting(found["state"])


def wait_for_replacement(job_id: str, attempt: int, line: str, claimed_at: datetime | None = None) -> bool:
    """Let the job of a running attempt wait, under its id, for the last of what takes its place (`Task.replace`).

    `line` tells its history of the attempt. Should this process die before `replacement_sent`, the alarm rings and the
    task runs once more. False when the attempt was cancelled or given up. Safe to repeat.
    """
    wake_at = utcnow() + REPLACING_TAKES_AT_MOST
    with runtime().engine.connect() as connection:
        reason = WaitReason.REPLACEMENT
        return transitions.block(
            connection, job_id, attempt, reason=reason, line=line, claimed_at=claimed_at, wake_at=wake_at
        ) or queries.is_blocked(connection, job_id, attempt + 1, reason)


def replacement_sent(job_id: str, attempt: int) -> None:
    """All that takes the place of a task has been sent: no alarm any more."""
    with runtime().engine.connect() as connection:
        transitions.clear_alarm(connection, job_id, attempt)


def give_up_attempt(
    job_id: str,
    attempt: int,
    *,
    reason: str,
    max_rescues: int | None,
    claimed_at: datetime | None = None,
    of_worker: str | None = None,
) -> State | None:
    """An attempt is lost with its worker: give the job another one, or end it when that has happened too often.

    `max_rescues` None says that the job can't be the cause (its worker was told to stop): the loss isn't counted.
    `claimed_at`, or `of_worker` (its id), tells whose claim it is where that is known.
    Idempotent: the guard lets one caller win. Returns the new state, or None when nothing moved.
    """
    with runtime().engine.connect() as connection:
        # A cancel may come between the look and the move; the next look sees it.
        while True:
            job = queries.held_job(connection, job_id)
            if job is None or job.attempt != attempt or not is_running(job.state):
                return None
            if claimed_at not in (None, job.started_at) or of_worker not in (None, job.worker_id):
                return None  # another worker has claimed the same attempt
            state = _give_up(connection, job, reason, max_rescues)
            if state is not None:
                break
    if state == State.RETRY:
        logger.warning("job %s goes back to waiting: attempt %d was lost: %s", job_id, attempt, reason)
    else:
        tell_who_waits(job_id)
    return state


def _give_up(connection: Connection, job: queries.Held, reason: str, max_rescues: int | None) -> State | None:
    """Try to move a lost attempt on; None when somebody else has moved the job since it was looked at."""
    now = utcnow()
    if job.cancel_requested_at is not None:
        state, fault = State.REVOKED, faults.revoked("cancelled")
    elif max_rescues is not None and job.rescues >= max_rescues:
        lost = job.rescues + 1
        state = State.FAILURE
        fault = faults.worker_lost(f"given up: {lost} attempts were lost with their worker; the last: {reason}")
    else:
        fault = faults.worker_lost(reason)
        line = transitions.history_line(
            attempt=job.attempt,
            state="LOST",
            worker=job.worker,
            started_at=job.started_at,
            finished_at=now,
            error=fault,
        )
        counted = max_rescues is not None
        # The alarm rings at once: whoever notices a loss has no message to send.
        moved = transitions.rescue(
            connection,
            job.id,
            job.attempt,
            error=fault,
            line=line,
            counted=counted,
            claimed_at=job.started_at,
            wake_at=now,
        )
        return State.RETRY if moved else None
    moved = transitions.end_badly(
        connection, job.id, job.attempt, state=state, error=fault, claimed_at=job.started_at, now=now
    )
    return state if moved else None


def end_expired(limit: int) -> int:
    """Revoke waiting jobs that have expired, whether or not a worker is there to notice; return how many."""
    error = faults.revoked("expired")
    with runtime().engine.connect() as connection:
        ended = [
            job_id
            for job_id, attempt in queries.expired(connection, utcnow(), limit)
            if transitions.expire(connection, job_id, attempt, error=error, now=utcnow())
        ]
    for job_id in ended:
        tell_who_waits(job_id)
    return len(ended)


#: How long what a job waits for may be over before somebody else than the one who ended it says so.
ORPHANED_AFTER = timedelta(seconds=10)
#: How long sending all parts of a chord may take.
HEADER_TAKES_AT_MOST = timedelta(seconds=60)
#: A step costs a look at the one before; a body several statements.
STEPS_FOR_A_BODY = 10
BEGINNING: queries.Place = (datetime(1970, 1, 1, tzinfo=UTC), "")


class Places(NamedTuple):
    """Where the next look for orphans goes on."""

    steps: queries.Place = BEGINNING
    bodies: queries.Place = BEGINNING


def end_orphans(limit: int, places: Places) -> tuple[int, Places]:
    """End jobs that wait for what will never come: whoever was to tell them died.

    Looks at up to `limit` bodies of chords and ten times as many steps of chains, from these places on. Returns how
    many jobs it has ended, and where to go on next time: most wait for good reasons, and must not hide those behind.
    """
    now = utcnow()
    with runtime().engine.connect() as connection:
        steps = queries.steps_waiting(
            connection, places.steps, now - ORPHANED_AFTER, now - ORPHANED_AFTER, limit * STEPS_FOR_A_BODY
        )
        bodies = queries.bodies_waiting(connection, places.bodies, now - HEADER_TAKES_AT_MOST, limit)
        late = "an earlier step of its chain has ended"
        ended = [
            step["id"]
            for step in steps
            if step["is_orphan"] and _end_orphan(connection, step["id"], step["before"], step["state"], late)
        ]
        ended += [
            body["id"]
            for body in bodies
            if not _has_full_header(connection, body["message"], now)
            and _end_orphan(connection, body["id"], None, None, "its chord was never sent in full")
        ]
    for job_id in ended:
        tell_who_waits(job_id)
    return len(ended), Places(_place_after(steps, limit * STEPS_FOR_A_BODY), _place_after(bodies, limit))


def _place_after(rows: Sequence[RowMapping], limit: int) -> queries.Place:
    return (rows[-1]["created_at"], rows[-1]["id"]) if len(rows) == limit else BEGINNING


def _has_full_header(connection: Connection, message: str | None, now: datetime) -> bool:
    """Say whether every part of a chord was sent, or is being sent: the saved group names them all beforehand."""
    group_id = (show(message) or {}).get("header", "")
    group, newest = queries.group(connection, group_id), queries.newest_part(connection, group_id)
    if newest is not None and newest > now - HEADER_TAKES_AT_MOST:
        return True
    if group is None or group["size"] is None:
        return False
    first_steps = {first for part in _parts_of(group["result"]) if (first := _first_step(part)) is not None}
    return first_steps <= queries.existing_ids(connection, sorted(first_steps))


def _parts_of(result: str | None) -> list[Any]:
    """Open a saved GroupResult, `[[id, parent], parts]`, as Celery writes it."""
    return json.loads(result)[1] or [] if result else []


def _first_step(part: Any) -> str | None:
    """Return the id of the first step of a part, `[[id, step before], None]`; None for what has no single one."""
    while part[0][1] is not None:
        part = part[0][1]
    return part[0][0] if part[1] is None else None


def _end_orphan(connection: Connection, job_id: str, before: str | None, cause: str | None, reason: str) -> bool:
    state = State.REVOKED if cause == State.REVOKED else State.FAILURE
    error = (
        faults.revoked(reason)
        if state == State.REVOKED
        else faults.fault("ChordError", "celery.exceptions", [reason], reason)
    )
    return transitions.end_blocked(connection, job_id, state=state, error=error, after=before, now=utcnow())


# -- queues ------------------------------------------------------------------------------------------------------


def pause_queue(name: str, by: str | None = None) -> bool:
    """Let workers take nothing from a queue until it is resumed; they obey within two seconds.

    What runs goes on, and jobs are still accepted. `by` says who wants it. False when it is paused already.
    Raises ValueNotStorable for what can't be a queue's name. Any other may be paused: the queue may come later.
    """
    _check_queue_name(name)
    with runtime().engine.connect() as connection:
        changed = queue_control.pause(connection, name, by)
    if changed:
        logger.warning("queue %s was paused by %s", name, by or "somebody")
    return changed


def resume_queue(name: str, by: str | None = None) -> bool:
    """Let workers take from a queue again. False when it is not paused. Raises ValueNotStorable as `pause_queue`."""
    _check_queue_name(name)
    with runtime().engine.connect() as connection:
        changed = queue_control.resume(connection, name)
    if changed:
        logger.warning("queue %s was resumed by %s", name, by or "somebody")
    return changed


def _check_queue_name(name: str) -> None:
    """Outer white space is refused: MariaDB takes "a" and "a " for the same key."""
    if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= QUEUE_NAME_LENGTH:
        raise ValueNotStorable(f"a queue's name is 1 to {QUEUE_NAME_LENGTH} printable characters, not {name[:300]!r}")
