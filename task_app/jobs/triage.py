"""Failures by what went wrong: which kinds there are, how many of each, since when, and one to look at."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from .filters import Columns
from .models import Job
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
    newest = _c.created_at.desc(), _c.id.desc()
    columns = (_c.id, _c.task, _c.error_type, _c.created_at, _c.finished_at, _c.resolved_at)
    near = select(*columns).where(_c.state == State.FAILURE).order_by(*newest).limit(reach).subquery()
    now = database_time(connection)
    windows = {name: now - length for name, length in WINDOWS.items() if length is not None}
    first = _with_numbers_of_its_kind(near.c, _asked_for(near.c, since, resolved), windows).subquery()
    largest = select(first).where(first.c.place == 1).order_by(first.c.number.desc(), first.c.last_at.desc())
    rows = connection.execute(largest.limit(GROUPS)).all()
    messages = _messages(connection, [row.id for row in rows])
    groups = [
        Group(
            error=row.error_type,
            task=row.task,
            count=row.number,
            within={name: row._mapping[f"within_{name}"] for name in windows},
            first_at=row.first_at,
            last_at=row.last_at,
            newest=row.id,
            message=messages.get(row.id, ""),
        )
        for row in rows
    ]
    last = select(_c.created_at).where(_c.state == State.FAILURE).order_by(*newest).offset(reach - 1).limit(1)
    oldest: datetime | None = connection.execute(last).scalar()
    return Triage(
        groups=groups,
        count=rows[0].asked_for if rows else 0,
        at_least=oldest is not None and (since is None or oldest > since),
        submitted_since=oldest,
    )


def _asked_for(near: Columns, since: datetime | None, resolved: bool | None) -> list[ColumnElement[bool]]:
    wanted = [] if since is None else [near["finished_at"] > since]
    if resolved is not None:
        wanted.append(near["resolved_at"].is_not(None) if resolved else near["resolved_at"].is_(None))
    return wanted


def _with_numbers_of_its_kind(
    near: Columns, wanted: list[ColumnElement[bool]], windows: dict[str, datetime]
) -> Select[Any]:
    """Put beside each failure what is true of all of its type and task, and its place among them."""
    kind = (near["error_type"], near["task"])
    place = func.row_number().over(partition_by=kind, order_by=(near["created_at"].desc(), near["id"].desc()))
    within = [
        func.count(case((near["finished_at"] > since, 1))).over(partition_by=kind).label(f"within_{name}")
        for name, since in windows.items()
    ]
    return select(
        near["id"],
        near["task"],
        near["error_type"],
        func.count().over().label("asked_for"),
        func.count().over(partition_by=kind).label("number"),
        func.min(near["finished_at"]).over(partition_by=kind).label("first_at"),
        func.max(near["finished_at"]).over(partition_by=kind).label("last_at"),
        place.label("place"),
        *within,
    ).where(*wanted)


def _messages(connection: Connection, job_ids: list[str]) -> dict[str, str]:
    statement = select(_c.id, _c.error).where(_c.id.in_(job_ids))
    errors = connection.execute(statement) if job_ids else ()
    return {row.id: first_line(json.loads(row.error or "{}").get("message")) for row in errors}
