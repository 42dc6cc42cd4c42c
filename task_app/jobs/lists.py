"""Pages and counts of jobs, whose cost does not grow with the table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, case, func, or_, select, true, union_all

from .columns import is_packed
from .filters import COLUMNS, RUNNING, SEVERAL, Argument, Columns, Filter, meets
from .models import Job, JobTag
from .queries import PRIORITIES, Place, get_many, long_texts, queues_with_published
from .states import FINAL, WAITING, State
from .view import VIEW_COLUMNS, JobView

_c = Job.__table__.c
_tag = JobTag.__table__.c
_VIEW = [_c[name] for name in VIEW_COLUMNS.values()]
_PLACE = [_c.created_at, _c.id]
#: What conditions are about. Databases copy what they sort or look through: the long texts are read afterwards, for the
#: jobs that are shown.
_LIGHT = [*_PLACE, *(_c[name] for name in ("resolved_at", "finished_at", *COLUMNS.values()))]

#: How many jobs that meet one condition are looked at for those that meet the others as well.
REACH = 1_000
#: How many of them are read at once where Python must look at their arguments.
ARGUMENTS_AT_ONCE = 500
#: A count that gets here stops: that many or more.
COUNT_LIMIT = 10_000
#: A limit that limits nothing, but keeps databases from reading another index instead of the one that is meant.
ALL = 10**9

__all__ = [
    "COUNT_LIMIT",
    "Count",
    "Depth",
    "Filter",
    "Page",
    "Place",
    "Run",
    "Runs",
    "count",
    "counts",
    "depths",
    "earlier_runs",
    "names",
    "page",
    "places",
    "pulse",
    "versions",
]


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
    beginning, others = _begin(connection, wanted)
    if not others and beginning.is_in_order:
        rows = connection.execute(beginning.newest(_VIEW, limit + 1, after)).mappings().all()
        jobs = [JobView.from_row(row) for row in rows[:limit]]
        return Page(jobs, (jobs[-1].created_at, jobs[-1].id) if len(rows) > limit else None)
    found, end = places(connection, wanted, limit=limit, after=after)
    return Page(_read(connection, found), end)


def places(
    connection: Connection, wanted: Filter, *, limit: int, after: Place | None = None
) -> tuple[list[Place], Place | None]:
    """Return where the jobs of a page are, without reading them, and where the page ends, as `page` does."""
    beginning, others = _begin(connection, wanted)
    if not others:
        found = _places(connection, beginning.newest(_PLACE, limit + 1, after))
        return found[:limit], found[limit - 1] if len(found) > limit else None
    # The end first: jobs that come and go between two statements must not move it, or some would be shown twice and
    # others never.
    end = _end(connection, beginning, REACH, after)
    found = _meeting(connection, beginning, others, limit, after, end)
    return found, found[-1] if len(found) == limit else end


def _places(connection: Connection, statement: Select[Any]) -> list[Place]:
    return [(created_at, job_id) for created_at, job_id in connection.execute(statement)]


def _read(connection: Connection, places: Sequence[Place]) -> list[JobView]:
    """Read the jobs at these places, but for those that were deleted meanwhile."""
    jobs = get_many(connection, [job_id for _, job_id in places])
    return [jobs[job_id] for _, job_id in places if job_id in jobs]


def _end(connection: Connection, beginning: "_Beginning", reach: int, after: Place | None) -> Place | None:
    """Return the last place of a look at so many jobs; None when there are fewer."""
    near = beginning.newest(_PLACE, reach, after).subquery()
    places = _places(connection, _newest_first(select(near), near.c).offset(reach - 1).limit(1))
    return places[0] if places else None


def versions(
    connection: Connection, wanted: Filter, *, limit: int, after: Place | None = None
) -> list[tuple[str, int]]:
    """Return (id, version) of the jobs on a page, the cheapest way to see whether it has changed."""
    beginning, others = _begin(connection, wanted)
    if others:
        return [(job.id, job.version) for job in page(connection, wanted, limit=limit, after=after).jobs]
    bare = beginning.newest([_c.id, _c.version, _c.created_at], limit, after)
    return [(row.id, row.version) for row in connection.execute(bare)]


@dataclass(frozen=True, slots=True)
class _Beginning:
    """The condition that a look begins with: a range of an index, or several that are merged."""

    wanted: Filter
    name: str | None = None  # None: all jobs
    values: Sequence[str] = ()

    @property
    def is_in_order(self) -> bool:
        """Say whether its index gives the order, so that no more is read than is asked for."""
        return self.name not in ("parent", "group", "id")

    def newest(
        self, columns: Sequence[Any], limit: int, after: Place | None = None, end: Place | None = None
    ) -> Select[Any]:
        """Return the statement for the newest jobs that meet it, from after one place to another."""
        if self.name == "tag":
            if columns is _PLACE:  # a tag goes with its job: no need to look at that
                found = select(_tag.created_at, _tag.job_id.label("id")).select_from(JobTag)
            else:
                found = select(*columns).join_from(JobTag, Job, _tag.job_id == _c.id)
            times = _between(self.wanted, _tag.created_at, _tag.job_id, after, end)
            tagged = found.where(_tag.tag == self.values[0], *times)
            return tagged.order_by(_tag.created_at.desc(), _tag.job_id.desc()).limit(limit)
        found = select(*columns).where(*_between(self.wanted, _c.created_at, _c.id, after, end))
        if self.name is None:
            return _newest_first(found, _c).limit(limit)
        if not self.is_in_order:
            column = _c.id if self.name == "id" else _c[COLUMNS[self.name]]
            family = found.where(column.in_(self.values)).limit(ALL).subquery()
            return _newest_first(select(family), family.c).limit(limit)
        ranges = [_newest_first(found.where(_c[COLUMNS[self.name]] == value), _c) for value in self.values]
        if len(ranges) == 1:
            return ranges[0].limit(limit)
        merged = union_all(*(select(part.limit(limit).subquery()) for part in ranges)).subquery()
        return _newest_first(select(merged), merged.c).limit(limit)


def _begin(connection: Connection, wanted: Filter) -> tuple[_Beginning, list[tuple[str, Any]]]:
    """Return the condition to begin with, and the others."""
    conditions = wanted.conditions()
    name, value = conditions[0] if conditions else ("", "")
    match name:
        case "" | "argument" | "finished_after" | "finished_before":
            return _Beginning(wanted), conditions
        case "id":
            ids = _ids_beginning(connection, value)
            return (_Beginning(wanted), conditions) if ids is None else (_Beginning(wanted, "id", ids), conditions[1:])
        case "status":
            return _Beginning(wanted, "status", _states_of(connection, value)), conditions[1:]
    return _Beginning(wanted, name, [value]), conditions[1:]


def _newest_first(statement: Select[Any], columns: Columns) -> Select[Any]:
    return statement.order_by(columns["created_at"].desc(), columns["id"].desc())


def _between(
    wanted: Filter, created: ColumnElement[Any], key: ColumnElement[Any], after: Place | None, end: Place | None
) -> list[ColumnElement[bool]]:
    """Return the conditions for the times wanted, and for two places. Newest first, the end is the older one."""
    found: list[ColumnElement[bool]] = []
    if wanted.created_after is not None:
        found.append(created > wanted.created_after)
    if wanted.created_before is not None:
        found.append(created < wanted.created_before)
    if wanted.finished_before is not None:
        found.append(created < wanted.finished_before)  # implied, and where the range begins
    # Of each pair the first condition is implied by the second; it is what every database can turn into an index range.
    if after is not None:
        found += [created <= after[0], or_(created < after[0], and_(created == after[0], key < after[1]))]
    if end is not None:
        found += [created >= end[0], or_(created > end[0], key >= end[1])]
    return found


def _states_of(connection: Connection, status: str) -> list[str]:
    """Return the states that a status stands for."""
    if status != RUNNING:
        return list(SEVERAL.get(status, (status,)))
    known = sorted(State)
    between = [and_(_c.state > low, _c.state < high) for low, high in pairwise(known)]
    gaps = or_(_c.state < known[0], *between, _c.state > known[-1])
    # Words that tasks chose themselves: only jobs that run have such.
    own = connection.execute(select(_c.state).where(gaps).distinct()).scalars()
    return [State.STARTED, State.PROGRESS, *own]


def _ids_beginning(connection: Connection, prefix: str) -> list[str] | None:
    """Return the ids that begin so; None when there are more than `REACH` of them."""
    # The last text of all: in an alphabet of the database's own, control characters may count for nothing.
    last = "\U0010ffff" if connection.dialect.name == "postgresql" else "\x7f"
    near = select(_c.id).where(_c.id >= prefix, _c.id <= prefix + last).order_by(_c.id).limit(REACH + 1)
    found = list(connection.execute(near).scalars())
    return None if len(found) > REACH else [job_id for job_id in found if job_id.startswith(prefix)]


def _meeting(
    connection: Connection,
    beginning: _Beginning,
    conditions: Sequence[tuple[str, Any]],
    limit: int,
    after: Place | None,
    end: Place | None,
) -> list[Place]:
    """Return the first `limit` jobs between two places that meet all conditions."""
    argument = next((Argument.parse(value) for name, value in conditions if name == "argument"), None)
    if argument is not None:
        return _having(connection, argument, beginning, conditions, limit, after, end)
    # A limit makes every database begin with the first condition.
    near = beginning.newest(_LIGHT, REACH * 10, after, end).subquery()
    meeting = select(near.c.created_at, near.c.id).where(_all(near.c, conditions))
    return _places(connection, _newest_first(meeting, near.c).limit(limit))


def _having(
    connection: Connection,
    argument: Argument,
    beginning: _Beginning,
    conditions: Sequence[tuple[str, Any]],
    limit: int,
    after: Place | None,
    end: Place | None,
) -> list[Place]:
    """Do the same where one condition is about an argument, some jobs at a time."""
    found: list[Place] = []
    while True:
        near = beginning.newest([*_LIGHT, _c[argument.path[0]]], ARGUMENTS_AT_ONCE, after, end).subquery()
        stored, may_have = near.c[argument.path[0]], _all(near.c, conditions)
        packed = is_packed(stored)
        short = case((and_(may_have, ~packed), stored))
        is_long = case((and_(may_have, packed), 1))
        statement = select(near.c.created_at, near.c.id, short.label("short"), is_long.label("is_long"))
        rows = connection.execute(_newest_first(statement, near.c)).all()
        long = _having_long(connection, argument, [row.id for row in rows if row.is_long], limit - len(found))
        found += [
            (row.created_at, row.id)
            for row in rows
            if row.id in long or (row.short is not None and argument.is_in(row.short))
        ]
        if len(found) >= limit or len(rows) < ARGUMENTS_AT_ONCE:
            return found[:limit]
        after = (rows[-1].created_at, rows[-1].id)


def _having_long(connection: Connection, argument: Argument, job_ids: Sequence[str], limit: int) -> set[str]:
    """Return those of these jobs, whose arguments are long, that have the argument: the first `limit`."""
    texts = long_texts(connection, argument.path[0], job_ids)
    return set(islice((job_id for job_id, text in texts if argument.is_in(text)), limit))


def _all(columns: Columns, conditions: Sequence[tuple[str, Any]]) -> ColumnElement[bool]:
    return and_(true(), *(part for name, value in conditions for part in meets(columns, name, value)))


class Count(NamedTuple):
    """How many jobs there are: this many, or, with `at_least`, perhaps more."""

    number: int
    at_least: bool


#: How many jobs that meet one condition are counted if they meet the others as well.
COUNT_REACH = 5_000


def count(connection: Connection, wanted: Filter, limit: int = COUNT_LIMIT) -> Count:
    """Count the jobs that a filter wants, up to `limit`.

    With several conditions, among the newest `COUNT_REACH` jobs that meet the first; with an argument, among `REACH`.
    """
    beginning, others = _begin(connection, wanted)
    if not others:
        near = beginning.newest(_PLACE, limit).subquery()
        number: int = connection.execute(select(func.count()).select_from(near)).scalar_one()
        return Count(number, number >= limit)
    if any(name == "argument" for name, _ in others):
        end = _end(connection, beginning, min(limit, REACH), None)
        return Count(len(_meeting(connection, beginning, others, limit, None, end)), end is not None)
    limit = min(limit, COUNT_REACH)
    near = beginning.newest(_LIGHT, limit).subquery()
    meeting = func.count(case((_all(near.c, others), 1)))
    number, looked_at = connection.execute(select(meeting, func.count()).select_from(near)).one()
    return Count(number, looked_at >= limit)


#: What can be completed: filter → the column whose values are offered.
NAMED = {
    "task": _c.task,
    "queue": _c.queue,
    "status": _c.state,
    "worker": _c.worker,
    "error": _c.error_type,
    "tag": _tag.tag,
}
#: How many values are looked at for those that are wanted.
PROBES = 500


def names(connection: Connection, field: str, prefix: str = "", limit: int = 50) -> list[str]:
    """Return the values of a filter that jobs have, those that begin with `prefix`, in order; one index probe each."""
    column = NAMED[field]
    # Not min(): MariaDB reads all there is for it.
    statement = select(column).where(column.is_not(None)).order_by(column).limit(1)
    if prefix:
        statement = statement.where(column <= prefix + "\U0010ffff")
    found: list[str] = []
    value = connection.execute(statement.where(column >= prefix)).scalar()
    for _ in range(PROBES):
        if value is None or len(found) == limit:
            break
        if value.startswith(prefix):
            found.append(value)
        value = connection.execute(statement.where(column > value)).scalar()
    return found


@dataclass(frozen=True, slots=True)
class Run:
    """An ended run of a task: its last attempt."""

    id: str
    state: str
    seconds: float
    finished_at: datetime
    retries: int


@dataclass(frozen=True, slots=True)
class Runs:
    """Earlier runs of a task, newest first, and how long those took that succeeded."""

    runs: list[Run]

    def percentile(self, percent: float) -> float | None:
        """Return the seconds within which so many percent of the successes ended; None without any."""
        seconds = sorted(run.seconds for run in self.runs if run.state == State.SUCCESS)
        if not seconds:
            return None
        return seconds[max(0, math.ceil(len(seconds) * percent / 100) - 1)]


def earlier_runs(connection: Connection, task: str, before: datetime, limit: int = 40) -> Runs:
    """Return the last ended runs of a task among the `REACH` newest jobs of it that were made before a moment."""
    columns = (_c.id, _c.state, _c.started_at, _c.finished_at, _c.retries, _c.created_at)
    near = _Beginning(Filter(created_before=before), "task", [task]).newest(columns, REACH).subquery()
    ran = select(near).where(near.c.finished_at.is_not(None), near.c.started_at.is_not(None))
    rows = connection.execute(_newest_first(ran, near.c).limit(limit))
    return Runs(
        [
            Run(
                id=row.id,
                state=row.state,
                seconds=max(0.0, (row.finished_at - row.started_at).total_seconds()),
                finished_at=row.finished_at,
                retries=row.retries,
            )
            for row in rows
        ]
    )


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


#: How far ahead the alarm of a due job may stand: a dispatcher has leased it, or the broker has refused it.
DISPATCH_PAUSE = timedelta(seconds=30)

#: How many waiting and running jobs `pulse` counts.
FEW = 200


def pulse(connection: Connection) -> list[Any]:
    """Return something small that changes whenever `counts` do, but for deleted jobs, at a twentieth of the cost.

    That is: the newest job, the newest end, and how many jobs wait and run, up to `FEW`.
    """
    newest = _newest_first(select(_c.id), _c).limit(1)
    held = select(_c.id).where(_c.worker_id.is_not(None), _c.finished_at.is_(None)).limit(FEW).subquery()
    unstarted = [
        connection.execute(select(func.count()).select_from(_first_in(state, FEW))).scalar() for state in WAITING
    ]
    return [
        connection.execute(newest).scalar(),
        connection.execute(select(func.max(_c.finished_at)).where(_c.finished_at.is_not(None))).scalar(),
        connection.execute(select(func.count()).select_from(held)).scalar(),
        *unstarted,
    ]


@dataclass(frozen=True, slots=True)
class Depth:
    """What waits in a queue for a worker: how many jobs, and since when the oldest has been ready."""

    queue: str
    waiting: int
    oldest_at: datetime


def depths(connection: Connection, now: datetime, limit: int = COUNT_LIMIT) -> list[Depth]:
    """Return the queues in which jobs wait for a worker, by name; `limit` means that many or more.

    These are the jobs that the broker has, and those that it could not be given.
    """
    found = {depth.queue: depth for depth in _unpublished(connection, now, limit)}
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
            here = Depth(queue, number, oldest)
            found[queue] = _together(here, found[queue], limit) if queue in found else here
    return [found[queue] for queue in sorted(found)]


def _unpublished(connection: Connection, now: datetime, limit: int) -> list[Depth]:
    """Return what is due and not on the broker: next to nothing, but when the broker is away."""
    near = (
        select(_c.queue, func.coalesce(_c.due_at, _c.created_at).label("since"))
        .where(
            _c.priority.in_(PRIORITIES),
            _c.dispatch_at <= now + DISPATCH_PAUSE,
            or_(_c.due_at.is_(None), _c.due_at <= now),
        )
        .limit(limit)
        .subquery()
    )
    by_queue = select(near.c.queue, func.count().label("number"), func.min(near.c.since).label("oldest"))
    return [Depth(row.queue, row.number, row.oldest) for row in connection.execute(by_queue.group_by(near.c.queue))]


def _together(one: Depth, other: Depth, limit: int) -> Depth:
    return Depth(one.queue, min(limit, one.waiting + other.waiting), min(one.oldest_at, other.oldest_at))
