"""Every read of the job table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, or_, select

from .columns import utc_now
from .models import Job, JobGroup, JobTag, Worker
from .states import WAITING
from .submission import Outgoing
from .view import VIEW_COLUMNS, JobView

_c = Job.__table__.c
_VIEW = select(*(_c[name] for name in VIEW_COLUMNS.values()))
_OUTGOING = select(*(_c[name] for name in Outgoing.__dataclass_fields__))


def get(connection: Connection, job_id: str) -> JobView | None:
    """Return a job, or None. One query."""
    row = connection.execute(_VIEW.where(_c.id == job_id)).mappings().one_or_none()
    return None if row is None else JobView.from_row(row)


def version_of(connection: Connection, job_id: str) -> int | None:
    """Return the version of a job's row, the cheapest way to see whether it has changed."""
    return connection.execute(select(_c.version).where(_c.id == job_id)).scalar_one_or_none()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs to list; None means any."""

    status: str | None = None
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    worker: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


def page(
    connection: Connection, wanted: Filter, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[JobView]:
    """Return up to `limit` jobs, newest first, after the (created_at, id) of the last one seen."""
    statement: Select[Any] = _VIEW
    created: Any = _c.created_at
    key: Any = _c.id
    if wanted.tag is not None:
        tag = JobTag.__table__.c
        statement = statement.join(JobTag, tag.job_id == _c.id).where(tag.tag == wanted.tag)
        created, key = tag.created_at, tag.job_id
    for column, value in (
        (_c.state, wanted.status),
        (_c.task, wanted.task),
        (_c.queue, wanted.queue),
        (_c.worker, wanted.worker),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.created_after is not None:
        statement = statement.where(created > wanted.created_after)
    if wanted.created_before is not None:
        statement = statement.where(created < wanted.created_before)
    if after is not None:
        # The first condition is implied by the second; it is what every database can turn into an index range.
        statement = statement.where(
            created <= after[0], or_(created < after[0], and_(created == after[0], key < after[1]))
        )
    statement = statement.order_by(created.desc(), key.desc()).limit(limit)
    return [JobView.from_row(row) for row in connection.execute(statement).mappings()]


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
    for start in range(0, len(job_ids), 500):
        yield from connection.execute(_META.where(_c.id.in_(job_ids[start : start + 500]))).mappings()


def group(connection: Connection, group_id: str) -> RowMapping | None:
    """Return a saved group (size, result), or None."""
    groups = JobGroup.__table__.c
    statement = select(groups.id, groups.size, groups.result).where(groups.id == group_id)
    return connection.execute(statement).mappings().one_or_none()


def unjoined_groups(connection: Connection, limit: int) -> list[RowMapping]:
    """Return chords (id, size) whose body has not been sent, oldest first."""
    groups = JobGroup.__table__.c
    statement = select(groups.id, groups.size).where(groups.unjoined.is_(True)).order_by(groups.created_at).limit(limit)
    return list(connection.execute(statement).mappings())


def message_of_a_part(connection: Connection, group_id: str) -> str | None:
    """Return the message (JSON) of some part of a chord: each carries the body."""
    statement = select(_c.message).where(_c.group_id == group_id, _c.message.is_not(None)).limit(1)
    return connection.execute(statement).scalar_one_or_none()


def group_is_complete(connection: Connection, group_id: str, size: int) -> bool:
    """Say whether all parts of a chord's header have ended.

    The probe for an unfinished member is one index look-up and answers almost every call; only when there is none are
    the ended members counted, because a member that is itself a chain gets its row late.
    """
    unfinished = select(_c.id).where(_c.group_id == group_id, _c.finished_at.is_(None)).limit(1)
    if connection.execute(unfinished).first() is not None:
        return False
    ended = select(func.count()).select_from(Job).where(_c.group_id == group_id)
    return connection.execute(ended).scalar_one() >= size


# -- for the service and maintenance -----------------------------------------------------------------------------


def row(connection: Connection, job_id: str, *columns: str) -> RowMapping | None:
    """Return some columns of a job, or None."""
    statement = select(*(_c[name] for name in columns)).where(_c.id == job_id)
    return connection.execute(statement).mappings().one_or_none()


def existing_ids(connection: Connection, job_ids: Sequence[str]) -> set[str]:
    """Return which of these ids are taken."""
    found: set[str] = set()
    for start in range(0, len(job_ids), 500):
        found.update(connection.execute(select(_c.id).where(_c.id.in_(job_ids[start : start + 500]))).scalars())
    return found


def outgoing(connection: Connection, job_id: str) -> Outgoing | None:
    """Return what the message of a job is made from, or None."""
    found = connection.execute(_OUTGOING.where(_c.id == job_id)).mappings().one_or_none()
    return None if found is None else Outgoing(**found)


def anything_due(connection: Connection, now: datetime) -> bool:
    """Say whether a dispatcher has work; costs no write lock."""
    return connection.execute(select(_c.id).where(_c.dispatch_at <= now).limit(1)).first() is not None


def due(connection: Connection, now: datetime, limit: int) -> list[Outgoing]:
    """Return unpublished jobs whose time has come, most urgent first; locks them where the database can."""
    statement = (
        _OUTGOING.where(_c.dispatch_at <= now).order_by(_c.dispatch_at).limit(limit).with_for_update(skip_locked=True)
    )
    found = [Outgoing(**row) for row in connection.execute(statement).mappings()]
    return sorted(found, key=lambda job: -job.priority)  # stable: older first within a priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A running job and the attempt at it, as the rescuer needs it."""

    id: str
    attempt: int
    rescues: int
    state: str
    worker: str | None
    started_at: datetime | None
    cancel_requested_at: datetime | None


_HELD = select(*(_c[name] for name in Held.__dataclass_fields__))


def held_job(connection: Connection, job_id: str) -> Held | None:
    """Return a job as the rescuer needs it, or None."""
    found = connection.execute(_HELD.where(_c.id == job_id)).mappings().one_or_none()
    return None if found is None else Held(**found)


def held_by(connection: Connection, worker_ids: Sequence[str], limit: int) -> list[Held]:
    """Return running jobs of these workers."""
    statement = _HELD.where(_c.worker_id.in_(worker_ids), _c.finished_at.is_(None), _c.state.not_in(WAITING)).limit(
        limit
    )
    return [Held(**row) for row in connection.execute(statement).mappings()]


def cancel_requests(connection: Connection, worker_id: str) -> list[tuple[str, datetime]]:
    """Return the running jobs of a worker that somebody asked to cancel, and when."""
    statement = select(_c.id, _c.cancel_requested_at).where(
        _c.worker_id == worker_id, _c.finished_at.is_(None), _c.cancel_requested_at.is_not(None)
    )
    return [(row.id, row.cancel_requested_at) for row in connection.execute(statement)]


def queues_waiting_since(connection: Connection, moment: datetime) -> list[str]:
    """Return the queues with jobs that were published before this moment and that nobody has claimed."""
    statement = select(_c.queue).where(_c.state.in_(WAITING), _c.published_at < moment).distinct()
    return list(connection.execute(statement).scalars())


def published_before(connection: Connection, moment: datetime, queue: str, limit: int) -> list[tuple[str, int]]:
    """Return (id, attempt) of a queue's jobs that were published before this moment and that nobody has claimed."""
    statement = (
        select(_c.id, _c.attempt)
        .where(_c.queue == queue, _c.state.in_(WAITING), _c.published_at < moment)
        .order_by(_c.created_at)
        .limit(limit)
    )
    return [(row.id, row.attempt) for row in connection.execute(statement)]


def database_time(connection: Connection) -> datetime:
    """Return the database's clock, the one that all hosts share."""
    return connection.execute(select(utc_now())).scalar_one()


def workers(connection: Connection) -> list[RowMapping]:
    """Return every worker that has not said goodbye."""
    columns = Worker.__table__.c
    return list(connection.execute(select(*columns).where(columns.stopped_at.is_(None))).mappings())


def count_by_state(connection: Connection) -> dict[str, int]:
    """Count all jobs by state. Reads the whole state index: for tools and tests, not for pages."""
    found = connection.execute(select(_c.state, func.count()).group_by(_c.state))
    return {row[0]: row[1] for row in found}
