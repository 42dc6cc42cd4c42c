"""Reads of the table `rollup`, for charts and tables of what happened.

What is asked for is made from the longest rows that fit, and where these have not come yet, at the end, from shorter
ones. So a year costs no more than an hour.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, false, func, or_, select

from .columns import span_of
from .histogram import Histogram
from .models import Rollup
from .queries import database_time
from .rolling import counted_until
from .spans import DAY, SHORT, SPANS, Kind, ceil, floor, kept_since
from .tally import COLUMNS, Tally

_c = Rollup.__table__.c
_tallied = [_c[name] for name in COLUMNS]
_DEPTH = COLUMNS.index("depth")

#: Most points of a series.
POINTS = 360
#: How long, in seconds, the time between two points may be; beyond a day, whole days.
STEPS = (10, 20, 30, 60, 300, 600, 900, 1800, 3600, 7200, 10800, 14400, 21600, 43200, 86400)

__all__ = [
    "POINTS",
    "Counts",
    "Figures",
    "Kind",
    "Percentiles",
    "Point",
    "Series",
    "by_name",
    "names",
    "series",
    "sparklines",
]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds that half, 95 % and 99 % did not exceed, to within `histogram.ERROR`."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, histogram: Histogram) -> "Percentiles | None":
        """Return those of a histogram; None of an empty one."""
        found = histogram.percentiles(0.5, 0.95, 0.99)
        return None if found is None else cls(*found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs ended, by outcome."""

    succeeded: int
    failed: int
    revoked: int

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.revoked


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures(Counts):
    """What is known of a stretch of time. `wait` and `run` are None where no job had any.

    `wait` is the time from when an attempt could have run to its start, `run` from its start to its end; both are of
    the attempt with which the job ended.
    """

    wait: Percentiles | None
    run: Percentiles | None
    depth: int | None  # the most jobs that were seen to wait at once; None: nobody looked
    oldest: float | None  # the longest that one of them had waited, in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of a series; `figures` None: nobody has looked, and nothing is known.

    `seconds` is how much of the step was looked at: less at the end of a series, and where there are gaps.
    """

    at: datetime
    seconds: int
    figures: Figures | None

    @property
    def rate(self) -> float | None:
        """Jobs that ended in a second; None where nothing is known."""
        return self.figures.jobs / self.seconds if self.figures is not None and self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What happened from `start` to `end`, in steps of so many seconds, and in all."""

    kind: Kind
    name: str
    start: datetime
    end: datetime
    seconds: int
    points: list[Point]
    total: Figures


def series(
    connection: Connection,
    kind: Kind | str,
    name: str = "",
    *,
    start: datetime,
    end: datetime,
    points: int = POINTS,
) -> Series:
    """Return what happened to all jobs, or to those of a task or queue, in `points` points or one or two more.

    The window grows to whole steps, and ends at the latest now. What is older than rows are kept for is left out.
    """
    kind = Kind(kind)
    step, start, end, pieces = _grid(connection, start, end, points)
    looked, tallies = _by_step(connection, kind, name, pieces, step)
    whole = Tally()
    for tally in tallies.values():
        whole.add(tally)
    found, at = [], start
    while at < end:
        seconds = looked.get(at, 0)
        figures = _figures(tallies.get(at, Tally())) if seconds else None
        found.append(Point(at=at, seconds=seconds, figures=figures))
        at += timedelta(seconds=step)
    return Series(kind=kind, name=name, start=start, end=end, seconds=step, points=found, total=_figures(whole))


def _by_step(
    connection: Connection, kind: Kind, name: str, pieces: Sequence["_Piece"], step: int
) -> tuple[dict[datetime, int], dict[datetime, Tally]]:
    """Return, by the beginning of the step, the seconds that were looked at, and what was counted."""
    looked: dict[datetime, int] = {}
    sampled: set[datetime] = set()
    tallies: dict[datetime, Tally] = {}
    wanted = or_(_is_all, and_(_c.kind == kind, _c.name == name))
    rows = select(_c.kind, _c.seconds, _c.at, *_tallied).where(wanted, _within(pieces))
    for found, seconds, began, *counted in connection.execute(rows):
        at = floor(began, step)
        if found == Kind.ALL:
            looked[at] = looked.get(at, 0) + seconds
            if counted[_DEPTH] is not None:
                sampled.add(at)
        if found == kind:
            tallies.setdefault(at, Tally()).add_columns(*counted)
    if kind is Kind.QUEUE:
        for at in sampled:  # queues in which nothing waits have no rows
            tallies.setdefault(at, Tally()).see(0, 0.0)
    return looked, tallies


def by_name(
    connection: Connection, kind: Kind | str, *, start: datetime, end: datetime, limit: int | None = None
) -> dict[str, Figures]:
    """Return what happened in a window, by task or queue, those with the most jobs first; of all, or of so many."""
    wanted = _c.kind == Kind(kind), _within(_cover(connection, start, end))
    rows = select(_c.name, *_tallied).where(*wanted)
    if limit is not None:
        # Adding up histograms is the dear part: only for those that are shown.
        jobs = func.sum(_c.succeeded + _c.failed + _c.revoked)
        most = select(_c.name).where(*wanted).group_by(_c.name).order_by(jobs.desc(), _c.name).limit(limit)
        rows = rows.where(_c.name.in_(list(connection.execute(most).scalars())))
    tallies: dict[str, Tally] = {}
    for name, *counted in connection.execute(rows):
        tallies.setdefault(name, Tally()).add_columns(*counted)
    busiest = sorted(tallies.items(), key=lambda item: (-item[1].jobs, item[0]))
    return {name: _figures(tally) for name, tally in busiest}


def names(connection: Connection, kind: Kind | str, *, start: datetime, end: datetime) -> list[str]:
    """Return the tasks or queues of which something was seen in a window."""
    wanted = select(_c.name).where(_c.kind == Kind(kind), _within(_cover(connection, start, end)))
    return list(connection.execute(wanted.distinct().order_by(_c.name)).scalars())


def sparklines(
    connection: Connection,
    kind: Kind | str,
    names: Sequence[str],
    *,
    start: datetime,
    end: datetime,
    points: int = 30,
) -> dict[str, list[Counts | None]]:
    """Return how many jobs ended, step by step, for many tasks or queues in one statement; None: nobody looked."""
    step, start, end, pieces = _grid(connection, start, end, points)
    sums = [func.sum(_c[field.name]).label(field.name) for field in fields(Counts)]
    span = span_of(_c.at, step).label("span")
    wanted = or_(_is_all, and_(_c.kind == Kind(kind), _c.name.in_(names)))
    statement = select(_c.kind, _c.name, span, *sums).where(wanted, _within(pieces)).group_by(_c.kind, _c.name, span)
    looked: set[int] = set()
    found: dict[tuple[str, int], Counts] = {}
    for row in connection.execute(statement):
        if row.kind == Kind.ALL:
            looked.add(row.span)
        if row.kind == kind:
            counts = Counts(succeeded=int(row.succeeded), failed=int(row.failed), revoked=int(row.revoked))
            found[row.name, row.span] = counts
    first, last = (int(moment.timestamp()) // step for moment in (start, end))
    none = Counts(succeeded=0, failed=0, revoked=0)
    return {
        name: [found.get((name, number), none if number in looked else None) for number in range(first, last)]
        for name in names
    }


def _figures(tally: Tally) -> Figures:
    return Figures(
        succeeded=tally.succeeded,
        failed=tally.failed,
        revoked=tally.revoked,
        wait=Percentiles.of(tally.waits),
        run=Percentiles.of(tally.runs),
        depth=tally.depth,
        oldest=tally.oldest,
    )


# -- which rows --------------------------------------------------------------------------------------------------

_is_all = and_(_c.kind == Kind.ALL, _c.name == "")

#: Rows of one length that begin from one moment to before another.
_Piece = tuple[int, datetime, datetime]


def _within(pieces: Iterable[_Piece]) -> ColumnElement[bool]:
    return or_(false(), *(and_(_c.seconds == seconds, _c.at >= start, _c.at < end) for seconds, start, end in pieces))


def _grid(
    connection: Connection, start: datetime, end: datetime, points: int
) -> tuple[int, datetime, datetime, list[_Piece]]:
    """Return how many seconds lie between two points, the window in whole steps, and the rows it is made from."""
    now = database_time(connection)
    start, end = max(start, kept_since(DAY, now)), min(end, now)
    least = max(_finest(start, now), (end - start).total_seconds() / (points + 1))
    step = next((step for step in STEPS if step >= least), 0) or DAY * -int(-least // DAY)
    # The span that is not over would look as if less had happened.
    over = floor(now, SHORT)
    first, last = floor(start, step), ceil(min(end, over), step)
    spans = [span for span in SPANS if step % span == 0]
    return step, first, max(first, last), _pieces(connection, first, min(last, over), spans)


def _finest(start: datetime, now: datetime) -> int:
    """Return the length of the shortest rows that are still kept of this time."""
    return next((seconds for seconds in SPANS if start >= kept_since(seconds, now)), DAY)


def _cover(connection: Connection, start: datetime, end: datetime) -> list[_Piece]:
    """Return the fewest rows that make up a window, to the precision that is kept of its time."""
    now = database_time(connection)
    start, end = floor(start, _finest(start, now)), min(end, floor(now, SHORT))
    return _pieces(connection, start, ceil(end, _finest(end, now)), SPANS)


def _pieces(connection: Connection, start: datetime, end: datetime, spans: Sequence[int]) -> list[_Piece]:
    """Make up a window of rows of these lengths: the longest in the middle, shorter ones at its ends."""
    until = {span: counted_until(connection, span) for span in spans if span > SHORT}
    return list(_split(start, end, spans, until))


def _split(start: datetime, end: datetime, spans: Sequence[int], until: dict[int, datetime | None]) -> Iterable[_Piece]:
    if start >= end:
        return
    *shorter, longest = spans
    if not shorter:
        yield longest, floor(start, longest), end
        return
    ready = until[longest]
    first, last = ceil(start, longest), floor(end if ready is None else min(end, ready), longest)
    if ready is None or first >= last:
        yield from _split(start, end, shorter, until)
        return
    yield from _split(start, first, shorter, until)
    yield longest, first, last
    yield from _split(last, end, shorter, until)
