"""Every read of the job table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Select, and_, exists, false, func, or_, select

from .columns import utc_now
from .models import Job, JobGroup, Worker
from .states import WAITING, State, WaitReason
from .submission import Outgoing
from .view import VIEW_COLUMNS, JobView

_c = Job.__table__.c
_parts = Job.__table__.alias("parts").c
_VIEW = select(*(_c[name] for name in VIEW_COLUMNS.values()))
_OUTGOING = select(*(_c[name] for name in Outgoing.__dataclass_fields__))


def get(connection: Connection, job_id: str) -> JobView | None:
    """Return a job, or None. One query."""
    row = connection.execute(_VIEW.where(_c.id == job_id)).mappings().one_or_none()
    return None if row is None else JobView.from_row(row)


#: Where a look ended: (created_at, id) of the last job looked at.
Place = tuple[datetime, str]

#: Ids in one IN: more make long statements, and SQLite has a limit.
CHUNK = 500


def get_many(connection: Connection, job_ids: Sequence[str]) -> dict[str, JobView]:
    """Return those of these jobs that exist, by id."""
    found = {}
    for start in range(0, len(job_ids), CHUNK):
        rows = connection.execute(_VIEW.where(_c.id.in_(job_ids[start : start + CHUNK]))).mappings()
        found.update({row["id"]: JobView.from_row(row) for row in rows})
    return found


def versions(connection: Connection, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the versions of these jobs' rows, the cheapest way to see what has changed; unknown ids are left out."""
    found: dict[str, int] = {}
    for start in range(0, len(job_ids), CHUNK):
        wanted = select(_c.id, _c.version).where(_c.id.in_(job_ids[start : start + CHUNK]))
        found.update((row.id, row.version) for row in connection.execute(wanted))
    return found


# -- for Celery's result backend ---------------------------------------------------------------------------------


_META = select(
    _c.id,
    _c.task,
    _c.args,
    _c.kwargs,
    _c.state,
    _c.attempt,
    _c.retries,
    _c.progress,
    _c.result,
    _c.error,
    _c.children,
    _c.queue,
    _c.worker,
    _c.parent_id,
    _c.group_id,
    _c.forgotten,
    _c.finished_at,
)


def metas(connection: Connection, job_ids: Sequence[str]) -> Iterable[RowMapping]:
    """Return what Celery's result backend shows of these jobs; unknown ids are left out."""
    for start in range(0, len(job_ids), CHUNK):
        yield from connection.execute(_META.where(_c.id.in_(job_ids[start : start + CHUNK]))).mappings()


def group(connection: Connection, group_id: str) -> RowMapping | None:
    """Return a saved group (size, result), or None."""
    groups = JobGroup.__table__.c
    statement = select(groups.id, groups.size, groups.result).where(groups.id == group_id)
    return connection.execute(statement).mappings().one_or_none()


def unjoined_groups(connection: Connection, limit: int) -> list[RowMapping]:
    """Return chords (id, size) whose body has not been sent although no part is unfinished, oldest first."""
    groups = JobGroup.__table__.c
    unfinished = exists().where(_c.group_id == groups.id, _c.finished_at.is_(None))
    statement = (
        select(groups.id, groups.size)
        .where(groups.unjoined.is_(True), ~unfinished)
        .order_by(groups.created_at)
        .limit(limit)
    )
    return list(connection.execute(statement).mappings())


def message_of_a_part(connection: Connection, group_id: str) -> str | None:
    """Return the message (JSON) of some part of a chord: each carries the body."""
    statement = select(_c.message).where(_c.group_id == group_id, _c.message.is_not(None)).limit(1)
    return connection.execute(statement).scalar_one_or_none()


def group_is_complete(connection: Connection, group_id: str, size: int) -> bool:
    """Say whether all parts of a chord's header have ended.

    The probe for an unfinished member is one index look-up and answers almost every call. When there is none, one
    statement counts ended and all members: a member may have got its row since the probe, and one that is itself a
    chain gets it late.
    """
    unfinished = select(_c.id).where(_c.group_id == group_id, _c.finished_at.is_(None)).limit(1)
    if connection.execute(unfinished).first() is not None:
        return False
    members = select(func.count(_c.finished_at), func.count()).where(_c.group_id == group_id)
    ended, known = connection.execute(members).one()
    return bool(ended == known and known >= size)


class Joined(NamedTuple):
    """How far the parts are that a waiting job is joined from, as of a version of its row."""

    version: int
    ended: int


def parts_ended(connection: Connection, body_id: str, group_id: str) -> Joined | None:
    """Count the ended parts of a chord whose body still waits for them; None when it doesn't.

    One statement: the count is never older than the version that it comes with.
    """
    ended = select(func.count(_parts.finished_at)).where(_parts.group_id == group_id).scalar_subquery()
    waits = _c.blocked_by.in_((WaitReason.CHORD, WaitReason.REPLACEMENT))
    found = connection.execute(select(_c.version, ended).where(_c.id == body_id, waits)).one_or_none()
    return None if found is None else Joined(*found)


def first_failed_part(connection: Connection, group_id: str) -> RowMapping | None:
    """Return the part of a chord (id, error) that failed or was revoked before all others; None if none was."""
    statement = (
        select(_c.id, _c.error)
        .where(_c.group_id == group_id, _c.state.in_((State.FAILURE, State.REVOKED)))
        .order_by(_c.finished_at, _c.id)
        .limit(1)
    )
    return connection.execute(statement).mappings().one_or_none()


# -- for the service and maintenance -----------------------------------------------------------------------------


def row(connection: Connection, job_id: str, *columns: str) -> RowMapping | None:
    """Return some columns of a job, or None."""
    statement = select(*(_c[name] for name in columns)).where(_c.id == job_id)
    return connection.execute(statement).mappings().one_or_none()


def is_blocked(connection: Connection, job_id: str, attempt: int, reason: str) -> bool:
    """Say whether this attempt of a job waits, for this reason."""
    found = row(connection, job_id, "attempt", "blocked_by")
    return found is not None and (found["attempt"], found["blocked_by"]) == (attempt, reason)


def existing_ids(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Return which of these ids are taken."""
    found: set[str] = set()
    for start in range(0, len(job_ids), CHUNK):
        found.update(connection.execute(select(_c.id).where(_c.id.in_(job_ids[start : start + CHUNK]))).scalars())
    return found


def outgoing(connection: Connection, job_id: str) -> Outgoing | None:
    """Return what the message of a job is made from, or None."""
    found = connection.execute(_OUTGOING.where(_c.id == job_id)).mappings().one_or_none()
    return None if found is None else Outgoing(**found)


#: 9 goes first. Named one by one, each is a range of the dispatch index; without them, the index can't be used.
PRIORITIES = tuple(range(9, -1, -1))


def waiting_children(connection: Connection, job_ids: Sequence[str]) -> list[str]:
    """Return the jobs that these jobs have sent, or that were to follow them, and that nobody has started."""
    found = select(_c.id).where(
        _c.parent_id.in_(job_ids), _c.id != _c.parent_id, _c.finished_at.is_(None), _c.state.in_(WAITING)
    )
    return list(connection.execute(found).scalars())


def waiting_parts(connection: Connection, group_id: str) -> list[str]:
    """Return the members of a group that nobody has started."""
    found = select(_c.id).where(_c.group_id == group_id, _c.finished_at.is_(None), _c.state.in_(WAITING))
    return list(connection.execute(found).scalars())


def steps_waiting(
    connection: Connection, after: Place, created_before: datetime, ended_before: datetime, limit: int
) -> list[RowMapping]:
    """Return waiting steps of chains, oldest first, from after a place on: id, created_at and `is_orphan`.

    An orphan's step before ended a while ago, or is not there. Its id and state are `before` and `state`.
    """
    near = _waiting_for(WaitReason.CHAIN, after, created_before, limit).add_columns(_c.parent_id).subquery()
    before = Job.__table__.alias("before")
    is_orphan = or_(before.c.id.is_(None), func.coalesce(before.c.finished_at < ended_before, false()))
    statement = (
        select(near.c.id, near.c.created_at, before.c.id.label("before"), before.c.state, is_orphan.label("is_orphan"))
        .join(before, before.c.id == near.c.parent_id, isouter=True)
        .order_by(near.c.created_at, near.c.id)
    )
    return list(connection.execute(statement).mappings())


def bodies_waiting(connection: Connection, after: Place, created_before: datetime, limit: int) -> list[RowMapping]:
    """Return waiting bodies of chords (id, created_at, message), oldest first, from after a place on."""
    statement = _waiting_for(WaitReason.CHORD, after, created_before, limit).add_columns(_c.message)
    return list(connection.execute(statement).mappings())


def _waiting_for(reason: WaitReason, after: Place, created_before: datetime, limit: int) -> Select[Any]:
    return (
        select(_c.id, _c.created_at)
        .where(
            _c.blocked_by == reason,
            _c.created_at >= after[0],
            or_(_c.created_at > after[0], _c.id > after[1]),
            _c.created_at < created_before,
        )
        .order_by(_c.created_at, _c.id)
        .limit(limit)
    )


def newest_part(connection: Connection, group_id: str) -> datetime | None:
    """Return when the newest part of a group that is there was made."""
    return connection.execute(select(func.max(_c.created_at)).where(_c.group_id == group_id)).scalar()


def expired(connection: Connection, now: datetime, limit: int) -> list[tuple[str, int]]:
    """Return (id, attempt) of waiting jobs whose time to be started has passed."""
    statement = (
        select(_c.id, _c.attempt)
        .where(_c.expires_at < now, _c.finished_at.is_(None), _c.state.in_(WAITING))
        .order_by(_c.expires_at)
        .limit(limit)
    )
    return [(row.id, row.attempt) for row in connection.execute(statement)]


def anything_due(connection: Connection, now: datetime) -> bool:
    """Say whether a dispatcher has work; costs no write lock."""
    found = select(_c.id).where(_c.priority.in_(PRIORITIES), _c.dispatch_at <= now).limit(1)
    return connection.execute(found).first() is not None


#: How many due jobs are looked at for one that the broker did not take.
LOOKED_AT = 100


def publish_problem(connection: Connection, now: datetime) -> str | None:
    """Return why a job that is due could not be published; None when the broker took all that were looked at."""
    near = (
        select(_c.publish_error).where(_c.priority.in_(PRIORITIES), _c.dispatch_at <= now).limit(LOOKED_AT).subquery()
    )
    statement = select(near.c.publish_error).where(near.c.publish_error.is_not(None)).limit(1)
    return connection.execute(statement).scalar()


def due(connection: Connection, now: datetime, limit: int) -> list[Outgoing]:
    """Return unpublished jobs whose time has come, most urgent first, then oldest; locks them where the database can.

    One look per priority, because no index gives one direction for the priority and the other for the time, and sorting
    everything that is due would make each batch of a long backlog as dear as all of it.
    """
    found: list[Outgoing] = []
    for priority in PRIORITIES:
        statement = (
            _OUTGOING.where(_c.priority == priority, _c.dispatch_at <= now)
            .order_by(_c.dispatch_at)
            .limit(limit - len(found))
            .with_for_update(skip_locked=True)
        )
        found += [Outgoing(**row) for row in connection.execute(statement).mappings()]
        if len(found) == limit:
            break
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A running job and the attempt at it, as the rescuer needs it."""

    id: str
    attempt: int
    rescues: int
    state: str
    worker: str | None
    worker_id: str | None
    started_at: datetime | None
    cancel_requested_at: datetime | None


_HELD = select(*(_c[name] for name in Held.__dataclass_fields__))


def held_job(connection: Connection, job_id: str) -> Held | None:
    """Return a job as the rescuer needs it, or None."""
    found = connection.execute(_HELD.where(_c.id == job_id)).mappings().one_or_none()
    return None if found is None else Held(**found)


def held_by(connection: Connection, worker_ids: Sequence[str], limit: int) -> list[Held]:
    """Return running jobs of these workers."""
    statement = _HELD.where(_c.worker_id.in_(worker_ids), _c.finished_at.is_(None), _c.state.not_in(WAITING))
    return [Held(**row) for row in connection.execute(statement.limit(limit)).mappings()]


def held_by_nobody(connection: Connection, started_before: datetime, limit: int) -> list[Held]:
    """Return running jobs of workers that said goodbye, and older ones of workers without a row."""
    worker = Worker.__table__.c
    statement = (
        _HELD.join(Worker, worker.id == _c.worker_id, isouter=True)
        .where(
            _c.worker_id.is_not(None),
            _c.finished_at.is_(None),
            _c.state.not_in(WAITING),
            or_(worker.stopped_at.is_not(None), and_(worker.id.is_(None), _c.started_at < started_before)),
        )
        .limit(limit)
    )
    return [Held(**row) for row in connection.execute(statement).mappings()]


def cancel_requests(connection: Connection, worker_id: str) -> list[tuple[str, datetime]]:
    """Return the running jobs of a worker that somebody asked to cancel, and when."""
    statement = select(_c.id, _c.cancel_requested_at).where(
        _c.worker_id == worker_id, _c.finished_at.is_(None), _c.cancel_requested_at.is_not(None)
    )
    return [(row.id, row.cancel_requested_at) for row in connection.execute(statement)]


def queues_with_published(connection: Connection) -> list[str]:
    """Return the queues with unfinished jobs that the broker was given, by name; one index probe each."""
    published = (_c.finished_at.is_(None), _c.published_at.is_not(None))
    if connection.dialect.name in ("mysql", "mariadb"):
        # It jumps from queue to queue by itself, but only when told by which index, and when asked for a minimum.
        grouped = select(_c.queue, func.min(_c.published_at)).where(*published).group_by(_c.queue)
        for dialect in ("mysql", "mariadb"):
            grouped = grouped.with_hint(Job.__table__, "FORCE INDEX (ix_job_published)", dialect)
        return sorted(connection.execute(grouped).scalars())
    found: list[str] = []
    statement = select(func.min(_c.queue)).where(*published)
    queue = connection.execute(statement).scalar()
    while queue is not None:
        found.append(queue)
        queue = connection.execute(statement.where(_c.queue > queue)).scalar()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A job whose message was sent and that nobody has claimed."""

    id: str
    attempt: int
    priority: int
    published_at: datetime
    elsewhere: bool  # sent to an exchange of its own: its queue may have another name


def published_before(connection: Connection, moment: datetime, queue: str, limit: int) -> list[Published]:
    """Return a queue's jobs that were published before this moment and that nobody has claimed, oldest first."""
    statement = (
        select(
            _c.id,
            _c.attempt,
            _c.priority,
            _c.published_at,
            func.coalesce(_c.message.contains('"exchange"'), false()).label("elsewhere"),
        )
        .where(_c.queue == queue, _c.finished_at.is_(None), _c.published_at < moment, _c.state.in_(WAITING))
        .order_by(_c.published_at)
        .limit(limit)
    )
    return [Published(**row) for row in connection.execute(statement).mappings()]


def prunable(
    connection: Connection, state: str, ended_before: datetime, *, keep_newest: int = 0, limit: int
) -> list[str]:
    """Return jobs that ended in this state before this moment, oldest first, sparing the newest `keep_newest`."""
    # Nothing ends before it was created: the condition on created_at is implied, and is what the index can use.
    statement = select(_c.id).where(_c.state == state, _c.created_at < ended_before, _c.finished_at < ended_before)
    needed = JobGroup.__table__.c
    statement = statement.where(~exists().where(needed.id == _c.group_id, needed.unjoined.is_(True)))
    if keep_newest:
        newest = select(_c.created_at).where(_c.state == state).order_by(_c.created_at.desc())
        spared = connection.execute(newest.offset(keep_newest - 1).limit(1)).scalar()
        if spared is None:
            return []
        statement = statement.where(_c.created_at < spared)
    return list(connection.execute(statement.order_by(_c.created_at).limit(limit)).scalars())


def database_time(connection: Connection) -> datetime:
    """Return the database's clock, the one that all hosts share."""
    return connection.execute(select(utc_now())).scalar_one()


def workers(connection: Connection) -> list[RowMapping]:
    """Return every worker that has not said goodbye."""
    columns = Worker.__table__.c
    return list(connection.execute(select(*columns).where(columns.stopped_at.is_(None))).mappings())
