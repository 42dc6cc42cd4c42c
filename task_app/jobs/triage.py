"""Failures by what went wrong: which kinds there are, how many of each, since when, and one to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Subquery, and_, case, func, select, true

from .filters import Columns
from .models import Job
from .packing import show
from .queries import database_time
from .states import State
from .wording import first_line

_c = Job.__table__.c

#: How many failures, the newest by their submission, are looked at.
REACH = 10_000
#: How many groups are told of.
GROUPS = 200
#: The windows that pages offer; None is all there is.
WINDOWS: dict[str, timedelta | None] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "all": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Failures of one task with one type of error."""

    error: str | None  # the type
    task: str
    count: int
    within: dict[str, int]  # how many of them failed in each of the windows, by its name
    first_at: datetime  # when the first and the last of them failed
    last_at: datetime
    newest: str  # id of the one submitted last
    message: str  # the first line of its error


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """Groups of failures, the largest first."""

    groups: list[Group]
    count: int  # of failures in all groups, also those that are left out where there are many groups
    at_least: bool  # there are more than could be looked at
    submitted_since: datetime | None  # jobs submitted before were not looked at; None: all were


def failures(
    connection: Connection, since: datetime | None = None, *, resolved: bool | None = False, reach: int = REACH
) -> Triage:
    """Group the jobs that failed since a moment; `resolved` None: whether or not somebody has dealt with them.

    Looks at the newest `reach` failures there are, at no more.
    """
    near = _newest(reach)
    windows = {name: length for name, length in WINDOWS.items() if length is not None}
    rows = connection.execute(_by_kind(near.c, since, resolved, windows, database_time(connection))).all()
    newest = _newest_of(connection, [(row.error_type, row.task, row.submitted_at) for row in rows])
    groups = []
    for row in rows:
        job_id, message = newest.get((row.error_type, row.task), ("", ""))
        groups.append(
            Group(
                error=row.error_type,
                task=row.task,
                count=row.number,
                within={name: row._mapping[f"within_{name}"] for name in windows},
                first_at=row.first_at,
                last_at=row.last_at,
                newest=job_id,
                message=message,
            )
        )
    last = select(_c.created_at).where(_is_failure).order_by(*_NEWEST_FIRST).offset(reach - 1).limit(1)
    oldest: datetime | None = connection.execute(last).scalar()
    return Triage(
        groups=groups,
        count=int(rows[0].asked_for) if rows else 0,
        at_least=oldest is not None and (since is None or oldest > since),
        submitted_since=oldest,
    )


def pulse(connection: Connection, since: datetime | None, *, resolved: bool | None, reach: int = REACH) -> list[Any]:
    """Return something small that changes whenever `failures` do, at half the cost: how many, and when the last ended.

    A failure in the place of another one moves the end; one that is retried, resolved or out of the window, a count.
    """
    near = _newest(reach).c
    asked_for = func.count(case((and_(true(), *_asked_for(near, since, resolved)), 1)))
    statement = select(asked_for, func.count(near.resolved_at), func.max(near.finished_at))
    return list(connection.execute(statement).one())


_is_failure = _c.state == State.FAILURE
_NEWEST_FIRST = _c.created_at.desc(), _c.id.desc()


def _newest(reach: int) -> Subquery:
    columns = (_c.id, _c.task, _c.error_type, _c.created_at, _c.finished_at, _c.resolved_at)
    return select(*columns).where(_is_failure).order_by(*_NEWEST_FIRST).limit(reach).subquery()


def _asked_for(near: Columns, since: datetime | None, resolved: bool | None) -> list[ColumnElement[bool]]:
    wanted = [] if since is None else [near["finished_at"] > since]
    if resolved is not None:
        wanted.append(near["resolved_at"].is_not(None) if resolved else near["resolved_at"].is_(None))
    return wanted


def _by_kind(
    near: Columns, since: datetime | None, resolved: bool | None, windows: dict[str, timedelta], now: datetime
) -> Select[Any]:
    number, last = func.count(), func.max(near["finished_at"])
    within = [
        func.count(case((near["finished_at"] > now - length, 1))).label(f"within_{name}")
        for name, length in windows.items()
    ]
    return (
        select(
            near["error_type"],
            near["task"],
            number.label("number"),
            func.sum(number).over().label("asked_for"),
            func.min(near["finished_at"]).label("first_at"),
            last.label("last_at"),
            func.max(near["created_at"]).label("submitted_at"),
            *within,
        )
        .where(*_asked_for(near, since, resolved))
        .group_by(near["error_type"], near["task"])
        .order_by(number.desc(), last.desc(), near["error_type"], near["task"])
        .limit(GROUPS)
    )


def _newest_of(
    connection: Connection, kinds: Sequence[tuple[str | None, str, datetime]]
) -> dict[tuple[str | None, str], tuple[str, str]]:
    """Return, for each kind of failure, id and first line of the error of the one that was submitted then.

    A second statement, over the index: to number all failures of each kind for it takes as long as the rest together.
    """
    if not kinds:
        return {}
    moments = {(error, task): submitted for error, task, submitted in kinds}
    wanted = select(_c.id, _c.task, _c.error_type, _c.created_at, _c.error).where(
        _is_failure, _c.created_at.in_(set(moments.values()))
    )
    return {
        (row.error_type, row.task): (row.id, first_line((show(row.error) or {}).get("message")))
        for row in connection.execute(wanted.order_by(_c.id))
        if moments.get((row.error_type, row.task)) == row.created_at
    }
