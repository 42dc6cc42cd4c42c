"""Writes of the table `rollup`: counting the jobs that ended, in spans of time.

A row is only ever replaced by one that has counted no fewer jobs. So it does no harm when several processes count the
same span, whoever comes last, and a job stays counted that was deleted, or that somebody ran once more.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import (
    Connection,
    Engine,
    Insert,
    Table,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql

from .columns import duration_bucket, span_of
from .database import transaction, unless_deadlocked
from .lists import Depth
from .models import Job, Rollup
from .spans import SPANS, Kind, floor, kept_since
from .tally import Tally

_job = Job.__table__.c
_table = cast("Table", Rollup.__table__)
_c = _table.c

#: Kind, name and beginning of a row.
Key = tuple[Kind, str, datetime]
Rows = dict[Key, Tally]

#: Rows in one transaction: on SQLite nobody else writes meanwhile.
BATCH = 100
#: Spans that one call of `prune` deletes at most.
PRUNED_AT_ONCE = 60
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


# -- how far it has come -----------------------------------------------------------------------------------------


def counted_until(connection: Connection, seconds: int) -> datetime | None:
    """Return the end of the newest row; None where there is none."""
    newest = select(func.max(_c.at)).where(_c.kind == Kind.ALL, _c.name == "", _c.seconds == seconds)
    at: datetime | None = connection.execute(newest).scalar()
    return at and at + timedelta(seconds=seconds)


def first_row(connection: Connection, seconds: int, since: datetime) -> datetime | None:
    """Return the beginning of the first row from this moment on; None where there is none."""
    first = select(func.min(_c.at)).where(_c.kind == Kind.ALL, _c.name == "", _c.seconds == seconds, _c.at >= since)
    at: datetime | None = connection.execute(first).scalar()
    return at


def first_end(connection: Connection, since: datetime) -> datetime | None:
    """Return when the first job ended that is on record and did so since this moment."""
    first = select(_job.finished_at).where(_job.finished_at >= since).order_by(_job.finished_at).limit(1)
    return connection.execute(first).scalar()


def end_after(connection: Connection, start: datetime, end: datetime, jobs: int) -> datetime | None:
    """Return when so many jobs had ended since `start`; None if fewer did until `end`."""
    ended = select(_job.finished_at).where(_job.finished_at >= start, _job.finished_at < end)
    return connection.execute(ended.order_by(_job.finished_at).offset(jobs).limit(1)).scalar()


# -- counting ----------------------------------------------------------------------------------------------------

#: From when on the last attempt of a job could have run. A first one: from its due time, or when it was accepted; what
#: had to wait for other jobs is due when these have ended. A later one: when it was put on the broker, for the row
#: does not keep when it went back to waiting.
_READY = case((_job.attempt == 1, func.coalesce(_job.due_at, _job.created_at)), else_=_job.published_at)


def count_ended(connection: Connection, seconds: int, start: datetime, end: datetime) -> Rows:
    """Count the jobs that ended from `start` to before `end`, which begin spans, in one statement.

    Every span has a row for all jobs, also where none ended: it says that somebody has looked.
    """
    span = span_of(_job.finished_at, seconds).label("span")
    wait = duration_bucket(_READY, _job.started_at).label("wait")
    run = duration_bucket(_job.started_at, _job.finished_at).label("run")
    groups = (span, _job.task, _job.queue, _job.state, wait, run)
    ended = select(*groups, func.count()).where(_job.finished_at >= start, _job.finished_at < end)
    rows: Rows = {(Kind.ALL, "", at): Tally() for at in beginnings(start, end, seconds)}
    moments: dict[int, datetime] = {}
    for number, task, queue, state, waited, ran, jobs in connection.execute(ended.group_by(*groups)):
        at = moments.get(number)
        if at is None:
            at = moments[number] = datetime.fromtimestamp(number * seconds, UTC)
        for key in ((Kind.ALL, "", at), (Kind.TASK, task, at), (Kind.QUEUE, queue, at)):
            tally = rows.get(key)
            if tally is None:
                tally = rows[key] = Tally()
            tally.count(state, jobs, waited, ran)
    return rows


def beginnings(start: datetime, end: datetime, seconds: int) -> Iterator[datetime]:
    """Return the spans from `start` to before `end`."""
    while start < end:
        yield start
        start += timedelta(seconds=seconds)


def add_up(rows: Mapping[Key, Tally], seconds: int) -> Rows:
    """Add the rows of shorter spans up to longer ones."""
    longer: Rows = {}
    for (kind, name, at), tally in rows.items():
        longer.setdefault((kind, name, floor(at, seconds)), Tally()).add(tally)
    return longer


def of_depths(depths: Iterable[Depth], at: datetime, now: datetime) -> Rows:
    """Make rows of what waits in the queues now, for the span that begins at `at`."""
    rows: Rows = {}
    total, longest = 0, 0.0
    for depth in depths:
        waited = max(0.0, (now - depth.oldest_at).total_seconds())
        rows[Kind.QUEUE, depth.queue, at] = Tally(depth=depth.waiting, oldest=waited)
        total, longest = total + depth.waiting, max(longest, waited)
    rows[Kind.ALL, "", at] = Tally(depth=total, oldest=longest)
    return rows


# -- reading and writing rows ------------------------------------------------------------------------------------


def stored(connection: Connection, seconds: int, start: datetime, end: datetime) -> Rows:
    """Return all rows whose span begins from `start` to before `end`."""
    found = select(_table).where(_c.seconds == seconds, _c.at >= start, _c.at < end)
    rows = connection.execute(found).mappings()
    return {(Kind(row["kind"]), row["name"], row["at"]): Tally.from_row(row) for row in rows}


def claim(connection: Connection, seconds: int, at: datetime) -> bool:
    """Make the row of a span if nobody has; who makes it counts, and others need not."""
    return _insert_missing(connection, [_values(seconds, (Kind.ALL, "", at), Tally())]) == 1


def write(engine: Engine, seconds: int, rows: Rows) -> int:
    """Store rows where they say more than what is there; return how many did.

    The rows for all jobs come last, since they say how far it has come.
    """
    if not rows:
        return 0
    moments = [at for _, _, at in rows]
    with engine.connect() as connection:
        known = stored(connection, seconds, min(moments), max(moments) + timedelta(seconds=seconds))
        news = [key for key, tally in rows.items() if key not in known or _says_more(tally, known[key])]
        news.sort(key=lambda key: (key[0] == Kind.ALL, key))  # one order for all writers
        for start in range(0, len(news), BATCH):
            batch = [(key, rows[key]) for key in news[start : start + BATCH]]
            unless_deadlocked(connection, lambda batch=batch: _write(engine, seconds, batch, known))  # type: ignore[misc]
    return len(news)


def _says_more(new: Tally, old: Tally) -> bool:
    counts = new.jobs >= old.jobs and any(getattr(new, name) != getattr(old, name) for name in _COUNTS)
    return counts or _exceeds(new.depth, old.depth) or _exceeds(new.oldest, old.oldest)


def _exceeds(new: float | None, old: float | None) -> bool:
    return new is not None and (old is None or new > old)


def _write(engine: Engine, seconds: int, batch: Sequence[tuple[Key, Tally]], known: Rows) -> None:
    missing = [_values(seconds, key, tally) for key, tally in batch if key not in known]
    others = [_values(seconds, key, tally) for key, tally in batch if key in known]
    with transaction(engine) as connection:
        if missing and _insert_missing(connection, missing) != len(missing):
            others += missing  # somebody was faster with some of them
        if others:
            params = [{f"new_{name}": value for name, value in row.items()} for row in others]
            connection.execute(_GROW, params)
            if seen := [row for row in params if row["new_depth"] is not None]:
                connection.execute(_DEEPEN, seen)


def _values(seconds: int, key: Key, tally: Tally) -> dict[str, Any]:
    kind, name, at = key
    return {"kind": kind, "name": name, "seconds": seconds, "at": at, **tally.columns()}


def _insert_missing(connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the rows whose keys are free; return how many."""
    statement: Insert
    if connection.dialect.name == "postgresql":
        statement = postgresql.insert(_table).on_conflict_do_nothing()
    else:
        statement = insert(_table).prefix_with("OR IGNORE" if connection.dialect.name == "sqlite" else "IGNORE")
    done = connection.execute(statement.inline(), rows, execution_options={"preserve_rowcount": True})
    return done.rowcount


def _new(name: str) -> Any:
    return bindparam(f"new_{name}", type_=_c[name].type)


def _replace(*where: Any, **values: Any) -> Update:
    this = [_c[name] == _new(name) for name in ("kind", "name", "seconds", "at")]
    return update(_table).where(*this, *where).values(values)


_COUNTS = ("succeeded", "failed", "revoked", "waits", "runs")
_GROW = _replace(
    _c.succeeded + _c.failed + _c.revoked <= _new("succeeded") + _new("failed") + _new("revoked"),
    **{name: _new(name) for name in _COUNTS},
)


def _greater(name: str) -> Any:
    return case((or_(_c[name].is_(None), _c[name] < _new(name)), _new(name)), else_=_c[name])


_DEEPEN = _replace(
    _new("depth").is_not(None),
    or_(_c.depth.is_(None), _c.depth < _new("depth"), _c.oldest < _new("oldest")),
    depth=_greater("depth"),
    oldest=_greater("oldest"),
)


def prune(connection: Connection, seconds: int, now: datetime) -> int:
    """Delete rows that are old, and added up to longer spans, some at a time; return how many."""
    before = kept_since(seconds, now)
    for longer in SPANS[SPANS.index(seconds) + 1 :][:1]:
        before = min(before, counted_until(connection, longer) or LONG_AGO)
    first = connection.execute(select(func.min(_c.at)).where(_c.seconds == seconds)).scalar()
    if first is None or first >= before:
        return 0
    end = min(before, first + PRUNED_AT_ONCE * timedelta(seconds=seconds))
    old = delete(_table).where(_c.seconds == seconds, _c.at < end)
    return unless_deadlocked(connection, lambda: connection.execute(old).rowcount)
