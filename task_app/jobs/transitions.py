"""Every move of a job: one guarded UPDATE each.

The guard names the states a move may start from and, where an attempt makes it, the attempt. Nothing is read first.
A function returns whether its row moved; False means that the move was not legal (any more) and nothing was written.
All functions take a connection of the kernel's engine and may be called from any process.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    Update,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.elements import KeyedColumnElement

from .bulk import insert_many
from .columns import FlushedLater
from .database import unless_deadlocked
from .file_uses import note_uses
from .models import Job, JobGroup, JobTag
from .prepared import Prepared
from .queries import CHUNK
from .states import FINAL, WAITING, State, WaitReason
from .submission import Sender
from .view import timestamp

# Histories are bounded: a task that retries for ever must not grow its row for ever. Past this many characters the
# older attempts give way to the newest.
HISTORY_LIMIT = 64_000

_jobs = cast("Table", Job.__table__)
_c = _jobs.c
# Spelled out instead of IN: drivers can't run a list of parameter sets against a list that expands.
_waiting = or_(*(_c.state == state for state in WAITING))
_final = or_(*(_c.state == state for state in FINAL))
_running = and_(_c.finished_at.is_(None), *(_c.state != state for state in WAITING))
_unfinished = _c.finished_at.is_(None)
_not_cancelled = _c.cancel_requested_at.is_(None)
# Which claim it was, where the process that runs the attempt knows it: PostgreSQL may forget a claim when it crashes,
# and then another worker claims the same attempt.
_same_claim = or_(
    bindparam("claimed_at", type_=_c.started_at.type).is_(None),
    _c.started_at == bindparam("claimed_at", type_=_c.started_at.type),
)


def _move(*where: ColumnElement[bool], **values: Any) -> Update:
    return update(Job).where(*where).values(version=_c.version + 1, **values)


def _count_moved(connection: Connection, statement: Update, params: dict[str, Any]) -> int:
    return unless_deadlocked(connection, lambda: connection.execute(statement, params).rowcount)


_prepared: dict[Update, Prepared] = {}


def _moved(connection: Connection, statement: Update, **params: Any) -> bool:
    """Run a move that is a constant of this module."""
    prepared = _prepared.get(statement)
    if prepared is None:
        prepared = _prepared[statement] = Prepared(statement)
    return unless_deadlocked(connection, lambda: prepared.run(connection, params)) == 1


def _there_is(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    """Look at another row of the table. MariaDB lets an UPDATE do so only through a derived table."""
    return exists(select(literal(1)).select_from(select(_c.id).where(*where).subquery()))


def _this(attempt: bool = True) -> list[ColumnElement[bool]]:
    guard: list[ColumnElement[bool]] = [_c.id == bindparam("job_id")]
    if attempt:
        guard.append(_c.attempt == bindparam("of_attempt"))
    return guard


def _these() -> list[ColumnElement[bool]]:
    return [_c.id.in_(bindparam("job_ids", expanding=True)), _c.attempt == bindparam("of_attempt")]


def _move_these(connection: Connection, statement: Update, jobs: Iterable[tuple[str, int]], **params: Any) -> int:
    """Move many (id, attempt) pairs: one statement for all at the same attempt. Returns how many moved."""
    by_attempt: dict[int, list[str]] = {}
    for job_id, attempt in jobs:
        by_attempt.setdefault(attempt, []).append(job_id)
    return sum(
        _count_moved(connection, statement, {"job_ids": ids[start : start + CHUNK], "of_attempt": attempt, **params})
        for attempt, ids in by_attempt.items()
        for start in range(0, len(ids), CHUNK)
    )


def history_line(
    *, attempt: int, state: str, worker: str | None, started_at: datetime | None, finished_at: datetime, error: Any
) -> str:
    """Write one ended attempt as a line of `job.history`."""
    line = {
        "attempt": attempt,
        "state": state,
        "worker": worker,
        "started_at": timestamp(started_at),
        "finished_at": timestamp(finished_at),
        "error": error and {key: error.get(key) for key in ("type", "message", "traceback")},
    }
    return json.dumps(line) + "\n"


def _history_with(line: KeyedColumnElement[Any] | ColumnElement[Any]) -> ColumnElement[str]:
    before = func.coalesce(_c.history, literal(""))
    return case((func.length(before) > HISTORY_LIMIT, line), else_=before.concat(line))


# -- accepting ---------------------------------------------------------------------------------------------------


def insert_jobs(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert new rows, their tags and uses of files. Raises `sqlalchemy.exc.IntegrityError` when an id is taken."""
    insert_many(connection, _jobs, rows)
    tags = [
        {"tag": tag, "job_id": row["id"], "created_at": row["created_at"]}
        for row in rows
        if row["tags"] is not None
        for tag in json.loads(row["tags"])
    ]
    if tags:
        connection.execute(insert(JobTag), tags)
    note_uses(connection, rows)


# -- publishing --------------------------------------------------------------------------------------------------

# A mark or a lease that PostgreSQL forgets in a crash sends a message twice, and the second finds nothing to claim.
_PUBLISHED = _move(
    *_these(),
    _waiting,
    _c.dispatch_at.is_not(None),
    FlushedLater(),
    published_at=bindparam("now"),
    dispatch_at=None,
    publish_error=None,
)


def mark_published(connection: Connection, jobs: Sequence[tuple[str, int]], now: datetime) -> int:
    """The broker has the messages of these (id, attempt) pairs; returns how many waited for that."""
    return _move_these(connection, _PUBLISHED, jobs, now=now)


_UNPUBLISHED = _move(
    *_this(),
    _waiting,
    _c.dispatch_at.is_not(None),
    dispatch_at=bindparam("again_at"),
    publish_error=bindparam("reason"),
)


def mark_publish_failed(
    connection: Connection, jobs: Sequence[tuple[str, int]], reason: str, again_at: datetime
) -> None:
    """The broker could not be reached; look at these (id, attempt) pairs again then."""
    params = [{"job_id": i, "of_attempt": a, "reason": reason, "again_at": again_at} for i, a in jobs]
    connection.execute(_UNPUBLISHED, params)


_LEASED = (
    update(Job).where(*_these(), _c.dispatch_at.is_not(None), FlushedLater()).values(dispatch_at=bindparam("until"))
)


def lease_for_dispatch(connection: Connection, jobs: Sequence[tuple[str, int]], until: datetime) -> None:
    """Keep other dispatchers away from these jobs while their messages are being sent."""
    _move_these(connection, _LEASED, jobs, until=until)


_UNLEASED = _move(
    *_this(),
    _waiting,
    _c.dispatch_at.is_not(None),
    dispatch_at=bindparam("was_at"),
    publish_error=bindparam("reason"),
)


def give_back_lease(connection: Connection, jobs: Sequence[tuple[str, int, datetime | None]], reason: str) -> None:
    """The broker was gone before these (id, attempt, alarm before the lease) were sent; they keep their turn."""
    connection.execute(
        _UNLEASED, [{"job_id": i, "of_attempt": a, "was_at": alarm, "reason": reason} for i, a, alarm in jobs]
    )


_AGAIN = _move(*_this(), _waiting, _c.published_at.is_not(None), published_at=None, dispatch_at=bindparam("now"))


def publish_again(connection: Connection, job_id: str, attempt: int, now: datetime) -> bool:
    """The message of this attempt is lost: hand the job back to the dispatcher. Safe to be wrong about (the fence)."""
    return _moved(connection, _AGAIN, job_id=job_id, of_attempt=attempt, now=now)


# -- running -----------------------------------------------------------------------------------------------------

_CLAIM = _move(
    *_this(),
    _waiting,
    or_(_c.expires_at.is_(None), _c.expires_at > bindparam("now")),
    FlushedLater(),
    state=State.STARTED,
    worker=bindparam("by_worker"),
    worker_id=bindparam("by_worker_id"),
    started_at=bindparam("now"),
    published_at=func.coalesce(_c.published_at, bindparam("now", type_=_c.published_at.type)),
    dispatch_at=None,
    publish_error=None,
    blocked_by=None,
)


def claim(
    connection: Connection, job_id: str, attempt: int, *, worker: str | None, worker_id: str | None, now: datetime
) -> bool:
    """A worker takes the job. False for a duplicate or stale message, and for a job that has expired.

    Should PostgreSQL crash within a second it may forget the claim, and the job is sent to another worker. `now` is
    what tells the two claims of that attempt apart (`claimed_at`): only the one in the table may write.
    """
    return _moved(
        connection, _CLAIM, job_id=job_id, of_attempt=attempt, by_worker=worker, by_worker_id=worker_id, now=now
    )


_REPORT = _move(
    *_this(),
    _running,
    _same_claim,
    _not_cancelled,
    FlushedLater(),
    state=bindparam("to_state"),
    progress=bindparam("meta"),
)


def report(
    connection: Connection,
    job_id: str,
    attempt: int,
    *,
    state: str,
    meta: str | None,
    claimed_at: datetime | None = None,
) -> bool:
    """The running task says how far it is. False as well when somebody has asked to cancel it."""
    return _moved(
        connection, _REPORT, job_id=job_id, of_attempt=attempt, to_state=state, meta=meta, claimed_at=claimed_at
    )


_HOLD = _move(*_this(), _running, _same_claim)
_HOLD_ANY = _move(*_this(attempt=False))
_ARTEFACTS = update(Job).where(*_this(attempt=False)).values(artefacts=bindparam("made"))


def hold(
    connection: Connection, job_id: str, attempt: int | None = None, *, claimed_at: datetime | None = None
) -> bool:
    """Keep others from changing a job until the transaction ends; with `attempt`, if it still runs that one.

    What it has made is written next, so its readers look again.
    """
    if attempt is None:
        return _moved(connection, _HOLD_ANY, job_id=job_id)
    return _moved(connection, _HOLD, job_id=job_id, of_attempt=attempt, claimed_at=claimed_at)


def set_artefacts(connection: Connection, job_id: str, made: str | None) -> None:
    """Write which files the job has made (JSON text). In the transaction of a `hold`."""
    connection.execute(_ARTEFACTS, {"job_id": job_id, "made": made})


_REPORT_PARTS = _move(
    *_this(attempt=False),
    _waiting,
    _c.blocked_by.is_not(None),
    _c.version == bindparam("as_of"),
    FlushedLater(),
    progress=bindparam("meta"),
)


def report_parts(connection: Connection, job_id: str, version: int, meta: str) -> bool:
    """Show how far the parts are that a job waits for. False when its row has changed since it had this version."""
    return _moved(connection, _REPORT_PARTS, job_id=job_id, as_of=version, meta=meta)


_FINISH: dict[str, Any] = {"finished_at": bindparam("now"), "dispatch_at": None, "blocked_by": None}

_SUCCEED = _move(
    *_this(),
    _running,
    _same_claim,
    state=State.SUCCESS,
    result=bindparam("value"),
    children=bindparam("sent"),
    error=None,
    error_type=None,
    **_FINISH,
)


def succeed(
    connection: Connection,
    job_id: str,
    attempt: int,
    *,
    result: str | None,
    children: str | None,
    claimed_at: datetime | None = None,
    now: datetime,
) -> bool:
    """The attempt ended with a result (JSON text)."""
    return _moved(
        connection,
        _SUCCEED,
        job_id=job_id,
        of_attempt=attempt,
        value=result,
        sent=children,
        claimed_at=claimed_at,
        now=now,
    )


_END_BADLY = {
    "state": bindparam("to_state"),
    "error": bindparam("with_error"),
    "error_type": bindparam("with_error_type"),
    "children": bindparam("sent"),
    **_FINISH,
}
_of_worker = bindparam("of_worker", type_=_c.worker_id.type)
_same_worker = or_(_of_worker.is_(None), _c.worker_id.is_(None), _c.worker_id == _of_worker)
_END_ATTEMPT = _move(*_this(), _unfinished, _same_claim, _same_worker, **_END_BADLY)
_END_ANY = _move(*_this(attempt=False), _unfinished, **_END_BADLY)
_END_AFTER = _move(*_this(attempt=False), _unfinished, _there_is(_c.id == bindparam("before"), _final), **_END_BADLY)


def end_badly(
    connection: Connection,
    job_id: str,
    attempt: int | None,
    *,
    state: State,
    error: dict[str, Any],
    children: str | None = None,
    after: str | None = None,
    claimed_at: datetime | None = None,
    of_worker: str | None = None,
    now: datetime,
) -> bool:
    """End the job as FAILURE or REVOKED with the reason; `attempt` None where no attempt is concerned.

    A worker's main process does not know `claimed_at`; it says who it is (`of_worker`, the worker's id).

    With `after`, only if that job has ended: what was to follow it waits again when it is run once more.
    """
    params = {
        "job_id": job_id,
        "to_state": state,
        "with_error": json.dumps(error),
        "with_error_type": error["type"][:255],
        "sent": children,
        "now": now,
    }
    if after is not None:
        return _moved(connection, _END_AFTER, before=after, **params)
    if attempt is None:
        return _moved(connection, _END_ANY, **params)
    return _moved(connection, _END_ATTEMPT, of_attempt=attempt, claimed_at=claimed_at, of_worker=of_worker, **params)


# -- going round again -------------------------------------------------------------------------------------------


def _wait_again(*where: ColumnElement[bool], **values: Any) -> Update:
    """The one way back to waiting: the next attempt, unpublished, nothing left of the last one's run."""
    fresh: dict[str, Any] = {
        "attempt": _c.attempt + 1,
        "progress": None,
        "worker": None,
        "worker_id": None,
        "started_at": None,
        "published_at": None,
        "publish_error": None,
        "blocked_by": None,
        "dispatch_at": bindparam("wake_at"),
    }
    return _move(*where, **(fresh | values))


#: What a new message for an old id may change.
REWRITABLE = ("task", "args", "kwargs", "queue", "priority", "retries", "due_at", "expires_at", "group_id", "message")
_REWRITTEN: dict[str, Any] = {name: bindparam(f"new_{name}") for name in REWRITABLE}

#: Why the attempt ended, in the same move that ends it: a crash between two would lose it.
_WITH_CAUSE: dict[str, Any] = {
    "error": bindparam("with_error"),
    "error_type": bindparam("with_error_type"),
    "history": _history_with(bindparam("line", type_=_c.history.type)),
}

_REQUEUE = _wait_again(*_this(), _running, _same_claim, _not_cancelled, state=State.RETRY, **_REWRITTEN, **_WITH_CAUSE)


def requeue(
    connection: Connection,
    job_id: str,
    attempt: int,
    *,
    values: dict[str, Any],
    error: dict[str, Any],
    line: str,
    claimed_at: datetime | None = None,
    wake_at: datetime,
) -> bool:
    """The running task asked for another attempt of itself. `values` holds the REWRITABLE columns.

    False as well when somebody has asked to cancel the job: a cancel is a fact, not a race with the next attempt.
    """
    return _moved(
        connection,
        _REQUEUE,
        job_id=job_id,
        of_attempt=attempt,
        claimed_at=claimed_at,
        wake_at=wake_at,
        with_error=json.dumps(error),
        with_error_type=error["type"][:255],
        line=line,
        **{f"new_{name}": values[name] for name in REWRITABLE},
    )


_BLOCK = _wait_again(
    *_this(),
    _running,
    _same_claim,
    _not_cancelled,
    state=State.PENDING,
    blocked_by=bindparam("reason"),
    history=_history_with(bindparam("line", type_=_c.history.type)),
)
_UNALARM = _move(*_this(), _waiting, _c.blocked_by.is_not(None), dispatch_at=None)
_unblocking: dict[str, Any] = {"blocked_by": None, "dispatch_at": bindparam("wake_at"), **_REWRITTEN}
_UNBLOCK = _move(*_this(attempt=False), _waiting, _c.blocked_by.is_not(None), **_unblocking)
_UNBLOCK_BY = _move(
    *_this(attempt=False),
    _waiting,
    _c.blocked_by.is_not(None),
    or_(
        _c.blocked_by != WaitReason.CHAIN,
        _there_is(_c.id == bindparam("by"), _c.attempt == bindparam("by_attempt"), _running, _same_claim),
    ),
    **_unblocking,
)


def block(
    connection: Connection,
    job_id: str,
    attempt: int,
    *,
    reason: str,
    line: str,
    claimed_at: datetime | None = None,
    wake_at: datetime,
) -> bool:
    """The running task is putting others in its place; its id waits for the last of them.

    The alarm covers a crash before they are sent: then the task runs once more. `clear_alarm` follows when they are.
    False as well when somebody has asked to cancel the job.
    """
    return _moved(
        connection,
        _BLOCK,
        job_id=job_id,
        of_attempt=attempt,
        reason=reason,
        line=line,
        claimed_at=claimed_at,
        wake_at=wake_at,
    )


def clear_alarm(connection: Connection, job_id: str, attempt: int) -> bool:
    """A blocked job needs no dispatcher: what it waits for will come."""
    return _moved(connection, _UNALARM, job_id=job_id, of_attempt=attempt)


def unblock(
    connection: Connection,
    job_id: str,
    *,
    values: dict[str, Any],
    wake_at: datetime,
    by: Sender | None = None,
) -> bool:
    """What a blocked id waited for has come. `values` holds the REWRITABLE columns.

    `by` is the running job that sends it: the next step of a chain goes on only while that attempt is not over, or an
    attempt that was given up would go on beside the one that took its place.
    """
    params = {f"new_{name}": values[name] for name in REWRITABLE}
    if by is None:
        return _moved(connection, _UNBLOCK, job_id=job_id, wake_at=wake_at, **params)
    return _moved(
        connection,
        _UNBLOCK_BY,
        job_id=job_id,
        wake_at=wake_at,
        by=by.job_id,
        by_attempt=by.attempt,
        claimed_at=by.claimed_at,
        **params,
    )


_RESCUE = _wait_again(
    *_this(),
    _running,
    _same_claim,
    _not_cancelled,
    state=State.RETRY,
    rescues=_c.rescues + bindparam("counted", type_=_c.rescues.type),
    **_WITH_CAUSE,
)


def rescue(
    connection: Connection,
    job_id: str,
    attempt: int,
    *,
    error: dict[str, Any],
    line: str,
    counted: bool = True,
    claimed_at: datetime | None = None,
    wake_at: datetime,
) -> bool:
    """The attempt is lost with its worker: back to waiting as the next attempt; `counted` where the job may be why.

    False as well when somebody has asked to cancel the job: then it ends.
    """
    return _moved(
        connection,
        _RESCUE,
        job_id=job_id,
        of_attempt=attempt,
        with_error=json.dumps(error),
        with_error_type=error["type"][:255],
        line=line,
        counted=int(counted),
        claimed_at=claimed_at,
        wake_at=wake_at,
    )


#: Nothing left of the end either.
_NOT_ENDED: dict[str, Any] = {
    "state": State.PENDING,
    "retries": 0,
    "rescues": 0,
    "due_at": None,
    "expires_at": None,
    "finished_at": None,
    "cancel_requested_at": None,
    "result": None,
    "error": None,
    "error_type": None,
    "children": None,
    "forgotten": False,
    "resolved_at": None,
}
_RUN_AGAIN = _wait_again(
    *_this(),
    _final,
    args=bindparam("new_args"),
    kwargs=bindparam("new_kwargs"),
    history=_history_with(bindparam("line", type_=_c.history.type)),
    **_NOT_ENDED,
)
_AWAIT_AGAIN = _wait_again(
    *_this(),
    _final,
    _c.started_at.is_(None),
    **_NOT_ENDED | {"dispatch_at": None, "blocked_by": bindparam("reason")},
)


def run_again(
    connection: Connection, job_id: str, attempt: int, *, args: str, kwargs: str, line: str, wake_at: datetime
) -> bool:
    """A person or client asked for another run of an ended job."""
    return _moved(
        connection,
        _RUN_AGAIN,
        job_id=job_id,
        of_attempt=attempt,
        new_args=args,
        new_kwargs=kwargs,
        line=line,
        wake_at=wake_at,
    )


def await_again(connection: Connection, job_id: str, attempt: int, *, reason: str) -> bool:
    """What this ended job has waited for, in vain, is run once more: it waits again."""
    return _moved(connection, _AWAIT_AGAIN, job_id=job_id, of_attempt=attempt, reason=reason)


# -- cancelling, forgetting, deleting ----------------------------------------------------------------------------

_CANCEL_WAITING = _move(*_this(attempt=False), _waiting, **{**_END_BADLY, "children": None})
_EXPIRE = _move(*_this(), _waiting, _c.expires_at < bindparam("now"), **{**_END_BADLY, "children": None})
_END_WAITING = _move(*_this(), _waiting, **{**_END_BADLY, "children": None})
_ending_blocked: dict[str, Any] = {**_END_BADLY, "children": None}
_END_BLOCKED = _move(*_this(attempt=False), _waiting, _c.blocked_by.is_not(None), **_ending_blocked)
_END_ORPHAN = _move(
    *_this(attempt=False),
    _waiting,
    _c.blocked_by.is_not(None),
    _there_is(_c.id == bindparam("before"), _final),
    **_ending_blocked,
)
_CANCEL_RUNNING = _move(*_this(attempt=False), _running, _not_cancelled, cancel_requested_at=bindparam("now"))


def cancel_waiting(connection: Connection, job_id: str, *, error: dict[str, Any], now: datetime) -> bool:
    """Revoke a job that no worker has taken: at once and for good."""
    return _moved(
        connection,
        _CANCEL_WAITING,
        job_id=job_id,
        to_state=State.REVOKED,
        with_error=json.dumps(error),
        with_error_type=error["type"],
        now=now,
    )


def expire(connection: Connection, job_id: str, attempt: int, *, error: dict[str, Any], now: datetime) -> bool:
    """Revoke a waiting job whose time to be started has passed."""
    params = {"to_state": State.REVOKED, "with_error": json.dumps(error), "with_error_type": error["type"]}
    return _moved(connection, _EXPIRE, job_id=job_id, of_attempt=attempt, now=now, **params)


def end_waiting(
    connection: Connection, job_id: str, attempt: int, *, state: State, error: dict[str, Any], now: datetime
) -> bool:
    """End a job that no worker can take, by the message of this attempt."""
    params = {"to_state": state, "with_error": json.dumps(error), "with_error_type": error["type"][:255]}
    return _moved(connection, _END_WAITING, job_id=job_id, of_attempt=attempt, now=now, **params)


def end_blocked(
    connection: Connection,
    job_id: str,
    *,
    state: State,
    error: dict[str, Any],
    after: str | None = None,
    now: datetime,
) -> bool:
    """End a job that waits for what will never come; with `after`, only if that job has ended and still has."""
    params = {"to_state": state, "with_error": json.dumps(error), "with_error_type": error["type"]}
    if after is None:
        return _moved(connection, _END_BLOCKED, job_id=job_id, now=now, **params)
    return _moved(connection, _END_ORPHAN, job_id=job_id, before=after, now=now, **params)


def cancel_running(connection: Connection, job_id: str, *, now: datetime) -> bool:
    """Ask the worker that runs the job to end it. The row says REVOKED once it has."""
    return _moved(connection, _CANCEL_RUNNING, job_id=job_id, now=now)


_failed = _c.state == State.FAILURE
_RESOLVE = _move(*_this(attempt=False), _failed, _c.resolved_at.is_(None), resolved_at=bindparam("now"))
_UNRESOLVE = _move(*_this(attempt=False), _failed, _c.resolved_at.is_not(None), resolved_at=None)


def resolve(connection: Connection, job_id: str, *, now: datetime) -> bool:
    """Somebody has dealt with this failure."""
    return _moved(connection, _RESOLVE, job_id=job_id, now=now)


def unresolve(connection: Connection, job_id: str) -> bool:
    """This failure is open again."""
    return _moved(connection, _UNRESOLVE, job_id=job_id)


_FORGET = _move(*_this(attempt=False), _final, result=None, children=None, forgotten=True)


def forget(connection: Connection, job_id: str) -> bool:
    """Drop the result of an ended job; the job itself stays on record."""
    return _moved(connection, _FORGET, job_id=job_id)


_in_unjoined_chord = exists().where(JobGroup.__table__.c.id == _c.group_id, JobGroup.__table__.c.unjoined.is_(True))
_DELETE = delete(Job).where(_c.id == bindparam("job_id"), _c.finished_at.is_not(None), ~_in_unjoined_chord)


def delete_ended(connection: Connection, job_id: str) -> bool:
    """Remove an ended job for good, with its tags; not while a chord still needs its result."""
    return unless_deadlocked(connection, lambda: connection.execute(_DELETE, {"job_id": job_id}).rowcount) == 1


def delete_many_ended(connection: Connection, job_ids: Sequence[str]) -> int:
    """Remove ended jobs for good, with their tags; spares what a chord still needs. Returns how many."""
    statement = delete(Job).where(_c.id.in_(job_ids), _c.finished_at.is_not(None), ~_in_unjoined_chord)
    return connection.execute(statement).rowcount
