"""Pages and counts of jobs, whose cost does not grow with the table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, Select, and_, func, or_, select

from .models import Job, JobTag
from .queries import Place, queues_with_published
from .states import FINAL, WAITING
from .view import VIEW_COLUMNS, JobView

_c = Job.__table__.c
_tag = JobTag.__table__.c
_VIEW: list[ColumnElement[Any]] = [_c[name] for name in VIEW_COLUMNS.values()]
#: What tells a change, and what pages are found by.
_BARE: list[ColumnElement[Any]] = [
    _c[name] for name in ("id", "version", "created_at", "state", "task", "queue", "worker")
]

#: How many jobs that meet one condition are looked at for those that meet the others as well.
REACH = 1_000
#: A count that gets here stops: that many or more.
COUNT_LIMIT = 10_000

__all__ = ["COUNT_LIMIT", "Depth", "Filter", "Page", "Place", "counts", "depths", "page", "versions"]


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

    def conditions(self) -> list[tuple[str, str]]:
        """Return (field, value) of what is asked for: a tag first, then what usually has the fewest jobs."""
        fields = ["tag", "worker", "task", "queue"]
        fields.insert(4 if self.status in FINAL else 1, "status")
        return [(name, value) for name in fields if (value := getattr(self, name)) is not None]


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, newest first; `next` None says that no more follow. There may be more even where there are no jobs here."""

    jobs: list[JobView]
    next: Place | None


def page(connection: Connection, wanted: Filter, *, limit: int, after: Place | None = None) -> Page:
    """Return up to `limit` jobs, newest first, from after the place where the last page ended.

    One condition is a range of an index. With more, the jobs of the first are looked at for the others, `REACH` of them
    at most: conditions that seldom meet would else read everything.
    """
    rows, end = _rows(connection, _VIEW, wanted, limit, after)
    return Page([JobView.from_row(row) for row in rows], end)


def versions(
    connection: Connection, wanted: Filter, *, limit: int, after: Place | None = None
) -> list[tuple[str, int]]:
    """Return (id, version) of the jobs on a page, the cheapest way to see whether it has changed."""
    rows, _ = _rows(connection, _BARE, wanted, limit, after)
    return [(row["id"], row["version"]) for row in rows]


def _rows(
    connection: Connection, columns: list[ColumnElement[Any]], wanted: Filter, limit: int, after: Place | None
) -> tuple[Sequence[RowMapping], Place | None]:
    first, others = (conditions := wanted.conditions())[:1], conditions[1:]
    statement, created, key = _newest_first(columns, first, wanted, after)
    if not others:
        rows = connection.execute(statement.limit(limit + 1)).mappings().all()
        return rows[:limit], _place(rows[limit - 1]) if len(rows) > limit else None
    # The end first: jobs that come and go between two statements must not move it, or some would be shown twice and
    # others never.
    end = connection.execute(statement.with_only_columns(created, key).offset(REACH - 1).limit(1)).one_or_none()
    if end is not None:
        statement = statement.where(created >= end[0], or_(created > end[0], key >= end[1]))
    near = statement.limit(REACH * 10).subquery()  # a limit makes every database begin with the first condition
    meets = [near.c[_COLUMNS[name]] == value for name, value in others]
    found = select(near).where(*meets).order_by(near.c.created_at.desc(), near.c.id.desc()).limit(limit)
    rows = connection.execute(found).mappings().all()
    if len(rows) == limit:
        return rows, _place(rows[-1])
    return rows, None if end is None else (end[0], end[1])


_COLUMNS = {"status": "state", "task": "task", "queue": "queue", "worker": "worker"}


def _newest_first(
    columns: list[ColumnElement[Any]], condition: list[tuple[str, str]], wanted: Filter, after: Place | None
) -> tuple[Select[Any], ColumnElement[Any], ColumnElement[Any]]:
    """Return the jobs that meet one condition, or none, in the times wanted; and the columns that give the order."""
    created: ColumnElement[Any] = _c.created_at
    key: ColumnElement[Any] = _c.id
    statement = select(*columns)
    for name, value in condition:
        if name == "tag":
            created, key = _tag.created_at, _tag.job_id
            statement = statement.join(JobTag, _tag.job_id == _c.id).where(_tag.tag == value)
        else:
            statement = statement.where(_c[_COLUMNS[name]] == value)
    if wanted.created_after is not None:
        statement = statement.where(created > wanted.created_after)
    if wanted.created_before is not None:
        statement = statement.where(created < wanted.created_before)
    if after is not None:
        # The first condition is implied by the second; it is what every database can turn into an index range.
        statement = statement.where(
            created <= after[0], or_(created < after[0], and_(created == after[0], key < after[1]))
        )
    return statement.order_by(created.desc(), key.desc()), created, key


def _place(row: RowMapping) -> Place:
    return row["created_at"], row["id"]


def _first_in(state: str, limit: int) -> FromClause:
    # In the order of the index, or PostgreSQL may prefer to read the table until it has found so many.
    return select(_c.id).where(_c.state == state).order_by(_c.created_at).limit(limit).subquery()


def counts(connection: Connection, limit: int = COUNT_LIMIT) -> dict[str, int]:
    """Return how many jobs are in each state; no count goes beyond `limit`, which so means that many or more."""
    found = {
        str(state): connection.execute(select(func.count()).select_from(_first_in(state, limit))).scalar_one()
        for state in (*WAITING, *FINAL)
    }
    # Running states are any words that tasks use; what runs is held by a worker.
    held = (
        select(_c.state)
        .where(_c.worker_id.is_not(None), _c.finished_at.is_(None), _c.state.not_in(WAITING))
        .limit(limit)
        .subquery()
    )
    by_state = select(held.c.state, func.count().label("number")).group_by(held.c.state).order_by(held.c.state)
    return found | {row.state: row.number for row in connection.execute(by_state)}


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in a queue for a worker: how many jobs, and since when the oldest has been on the broker."""

    queue: str
    waiting: int
    oldest_at: datetime


def depths(connection: Connection, limit: int = COUNT_LIMIT) -> list[Depth]:
    """Return the queues in which jobs wait for a worker, by name; `limit` means that many or more."""
    found = []
    for queue in queues_with_published(connection):
        near = (
            select(_c.published_at)
            .where(_c.queue == queue, _c.finished_at.is_(None), _c.published_at.is_not(None), _c.state.in_(WAITING))
            .order_by(_c.published_at)
            .limit(limit)
            .subquery()
        )
        number, oldest = connection.execute(select(func.count(), func.min(near.c.published_at))).one()
        if number:
            found.append(Depth(queue, number, oldest))
    return found
