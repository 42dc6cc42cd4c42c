"""The roller counts every job once, whoever rolls, how often, and after however long; on every database."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, func, literal, select

from task_app.jobs import rolling, spans, transitions
from task_app.jobs.columns import UtcDateTime, duration_bucket, span_of
from task_app.jobs.database import transaction
from task_app.jobs.histogram import bucket_of
from task_app.jobs.models import Rollup
from task_app.jobs.spans import LONG, MIDDLE, SHORT, SPANS, Kind, floor, kept_since
from task_app.jobs.states import State
from task_app.jobs.tally import Tally
from task_app.maintenance.roller import Roller

from ..factories import job_row

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
#: In the middle of a span, and of nothing else.
NOW = datetime(2030, 1, 31, 12, 34, 57, tzinfo=UTC)
ALL = (Kind.ALL, "")


@pytest.fixture
def roller(every_database: Flask) -> Iterator[Roller]:
    with every_database.app_context():
        yield Roller(every_database)


def ended(at: datetime, **values: Any) -> dict[str, Any]:
    """Make a job that ended at this moment, after half a second of waiting and two of running."""
    created = at - 2.5 * SECOND
    usual = {"created_at": created, "published_at": created, "started_at": at - 2 * SECOND, "finished_at": at}
    return job_row(**({"state": State.SUCCESS, "dispatch_at": None} | usual | values))


def insert(engine: Engine, *rows: dict[str, Any]) -> None:
    with transaction(engine) as connection:
        for columns in {frozenset(row) for row in rows}:
            transitions.insert_jobs(connection, [row for row in rows if frozenset(row) == columns])


def rows_in(engine: Engine, seconds: int) -> rolling.Rows:
    with engine.connect() as connection:
        return rolling.stored(connection, seconds, NOW - 1000 * DAY, NOW + DAY)


def jobs_in(engine: Engine, seconds: int, kind: str = Kind.ALL) -> int:
    return sum(tally.jobs for key, tally in rows_in(engine, seconds).items() if key[0] == kind)


def roll_on(roller: Roller, now: datetime) -> int:
    """Roll until there is nothing more to catch up with; return how many steps that took."""
    steps = 1
    while roller.roll(now)[1]:
        steps += 1
    return steps


def live(roller: Roller, start: datetime, end: datetime, every: timedelta = 10 * SECOND) -> datetime:
    """Roll again and again, as workers do; return when it would be next."""
    while start < end:
        roller.roll(start)
        start += every
    return start


# -- what is counted ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 0.0009, 0.0011, 0.001953, 0.5, 1.0, 59.999999, 3600.0, 864_000.25, -3.0])
def test_the_database_finds_the_same_bucket(engine: Engine, seconds: float) -> None:
    begin = literal(NOW, UtcDateTime())
    end = literal(NOW + timedelta(seconds=seconds), UtcDateTime())
    with engine.connect() as connection:
        found = connection.execute(select(duration_bucket(begin, end), duration_bucket(begin, None))).one()
    assert list(found) == [bucket_of(seconds), None]


@pytest.mark.parametrize("seconds", SPANS)
def test_the_database_finds_the_same_span(engine: Engine, seconds: int) -> None:
    moments = [floor(NOW, LONG), floor(NOW, LONG) - timedelta(microseconds=1), NOW]
    with engine.connect() as connection:
        for moment in moments:
            found = connection.execute(select(span_of(literal(moment, UtcDateTime()), seconds))).scalar_one()
            assert found * seconds == floor(moment, seconds).timestamp()


def test_jobs_are_counted_by_outcome_task_and_queue(roller: Roller, engine: Engine) -> None:
    insert(
        engine,
        ended(NOW, task="a", queue="x"),
        ended(NOW, task="a", queue="y", state=State.FAILURE),
        ended(NOW, task="b", queue="y", state=State.REVOKED, started_at=None),
        job_row(),
    )
    roll_on(roller, NOW + 10 * SECOND)
    at = floor(NOW, SHORT)
    found = rows_in(engine, SHORT)
    halves, twos = {bucket_of(0.5): 1}, {bucket_of(2.0): 1}

    def counts(kind: Kind, name: str) -> tuple[int, int, int]:
        tally = found[kind, name, at]
        return tally.succeeded, tally.failed, tally.revoked

    assert counts(*ALL) == (1, 1, 1)
    assert (counts(Kind.TASK, "a"), counts(Kind.TASK, "b")) == ((1, 1, 0), (0, 0, 1))
    assert (counts(Kind.QUEUE, "x"), counts(Kind.QUEUE, "y")) == ((1, 0, 0), (0, 1, 1))
    assert (found[Kind.QUEUE, "x", at].waits.counts, found[Kind.QUEUE, "x", at].runs.counts) == (halves, twos)
    assert found[Kind.TASK, "b", at].runs.total == 0  # it never ran


@pytest.mark.parametrize(
    ("waited", "values"),
    [
        (0.5, {}),
        (0.1, {"due_at": NOW - 2.1 * SECOND}),
        (60.5, {"created_at": NOW - 62.5 * SECOND}),  # the broker was away, and nobody published it
        (0.2, {"attempt": 2, "created_at": NOW - HOUR, "published_at": NOW - 2.2 * SECOND}),
        (-7, {"created_at": NOW + 5 * SECOND}),  # the clocks of two hosts
    ],
)
def test_a_wait_begins_when_the_attempt_could_have_run(
    roller: Roller, engine: Engine, waited: float, values: dict[str, Any]
) -> None:
    insert(engine, ended(NOW, **values))
    roll_on(roller, NOW + 10 * SECOND)
    assert rows_in(engine, SHORT)[*ALL, floor(NOW, SHORT)].waits.counts == {bucket_of(waited): 1}


def test_what_waits_is_seen(roller: Roller, engine: Engine) -> None:
    live(roller, NOW - 20 * SECOND, NOW)
    insert(
        engine,
        *(job_row(queue="x", published_at=NOW - n * SECOND, dispatch_at=None) for n in (5, 9)),
        job_row(queue="y", published_at=NOW - SECOND, dispatch_at=None),
    )
    roller.roll(NOW)
    found = rows_in(engine, SHORT)
    at = floor(NOW, SHORT)
    assert [(found[key].depth, found[key].oldest) for key in ((Kind.QUEUE, "x", at), (*ALL, at))] == [(2, 9), (3, 9)]
    assert found[*ALL, at - 10 * SECOND].depth == 0


# -- when it is counted ------------------------------------------------------------------------------------------


def test_rolling_again_changes_nothing(roller: Roller, engine: Engine, every_database: Flask) -> None:
    insert(engine, *(ended(NOW - n * SECOND, task=f"t{n % 3}") for n in range(30)))
    roll_on(roller, NOW)
    before = rows_in(engine, SHORT)
    assert roller.roll(NOW) == (0, False)  # somebody has looked in this span
    with engine.connect() as connection:
        again = rolling.count_ended(connection, SHORT, floor(NOW - MINUTE, SHORT), floor(NOW, SHORT))
    assert rolling.write(engine, SHORT, again) == len([key for key in again if key not in before])
    assert {key: tally for key, tally in rows_in(engine, SHORT).items() if key in before} == before


def test_a_job_is_in_the_chart_at_the_next_look(roller: Roller, engine: Engine) -> None:
    next_look = live(roller, NOW - MINUTE, NOW)
    insert(engine, ended(NOW))
    roller.roll(next_look)
    assert jobs_in(engine, SHORT) == 1


def test_jobs_that_are_committed_late_are_counted(roller: Roller, engine: Engine) -> None:
    now = live(roller, NOW - MINUTE, NOW)
    insert(engine, ended(now - 8 * SECOND))
    now = live(roller, now, now + 10 * SECOND)
    assert jobs_in(engine, SHORT) == 1  # within the next look
    insert(engine, ended(now - 50 * SECOND))
    live(roller, now, now + 7 * MINUTE, every=50 * SECOND)
    assert jobs_in(engine, SHORT) == jobs_in(engine, MIDDLE) == 2  # when five minutes are over for good


def test_what_was_late_when_everybody_stopped_is_counted(roller: Roller, engine: Engine) -> None:
    stop = NOW - 3 * MINUTE
    live(roller, stop - MINUTE, stop)
    insert(engine, ended(stop - 8 * SECOND))
    roll_on(roller, stop + 2 * MINUTE)  # before five minutes are over and counted once more
    assert jobs_in(engine, SHORT) == 1


def test_longer_spans_hold_what_shorter_ones_do(roller: Roller, engine: Engine) -> None:
    start = floor(NOW, LONG) - HOUR
    insert(engine, *(ended(start + n * MINUTE, task=f"t{n % 2}") for n in range(60)))
    live(roller, start, start + 5 * SECOND)
    live(roller, start + HOUR, start + HOUR + 10 * MINUTE, every=50 * SECOND)
    assert [jobs_in(engine, seconds) for seconds in (SHORT, MIDDLE, LONG)] == [60, 60, 60]
    (whole,) = [tally for key, tally in rows_in(engine, LONG).items() if key[0] == Kind.ALL]
    assert (whole.jobs, whole.runs.counts) == (60, {bucket_of(2.0): 60})
    assert {key[1]: tally.jobs for key, tally in rows_in(engine, LONG).items() if key[0] == Kind.TASK} == {
        "t0": 30,
        "t1": 30,
    }


def test_after_a_night_without_workers_it_catches_up(
    roller: Roller, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("task_app.maintenance.roller.JOBS_AT_ONCE", 20)
    evening = NOW - 13 * HOUR
    live(roller, evening - MINUTE, evening)
    # Somebody ended jobs all the same, and many in the same span.
    insert(engine, *(ended(evening + n * 10 * MINUTE) for n in range(78)))
    insert(engine, *(ended(NOW - HOUR + n * SECOND / 10) for n in range(50)))
    assert roll_on(roller, NOW) > 5
    live(roller, NOW + 10 * SECOND, NOW + 10 * MINUTE, every=50 * SECOND)
    since = kept_since(SHORT, NOW + 10 * MINUTE)
    long_ago = sum(tally.jobs for key, tally in rows_in(engine, MIDDLE).items() if key[0] == "all" and key[2] < since)
    lately = sum(tally.jobs for key, tally in rows_in(engine, SHORT).items() if key[0] == "all" and key[2] >= since)
    assert (long_ago + lately, lately > 50) == (128, True)
    _has_no_hole(engine, SHORT, since)
    _has_no_hole(engine, MIDDLE, floor(evening, LONG) + HOUR)


def test_a_table_with_a_past_is_counted_in_the_spans_that_are_kept_of_it(roller: Roller, engine: Engine) -> None:
    insert(engine, *(ended(NOW - age) for age in (29 * DAY, 5 * DAY, 2 * DAY, HOUR)))
    insert(engine, ended(NOW - 60 * DAY))  # of that time only failures may be left
    roll_on(roller, NOW)
    live(roller, NOW + 10 * SECOND, NOW + 30 * SECOND)
    assert jobs_in(engine, LONG) == jobs_in(engine, spans.DAY) == 3
    assert sum(tally.jobs for key, tally in rows_in(engine, MIDDLE).items() if key[2] < kept_since(SHORT, NOW)) == 3
    assert jobs_in(engine, SHORT) == 1
    _has_no_hole(engine, LONG, NOW - 28 * DAY)
    _has_no_hole(engine, spans.DAY, NOW - 28 * DAY)


def _has_no_hole(engine: Engine, seconds: int, since: datetime) -> None:
    moments = sorted(key[2] for key in rows_in(engine, seconds) if key[0] == Kind.ALL and key[2] >= since)
    assert {(b - a).total_seconds() for a, b in pairwise(moments)} == {seconds}


def test_days_are_made_of_hours_as_soon_as_they_are_over(roller: Roller, engine: Engine) -> None:
    today = floor(NOW, spans.DAY)
    hours = {(*ALL, today - n * HOUR): Tally(succeeded=n, depth=n, oldest=float(n)) for n in range(-11, 49)}
    rolling.write(engine, LONG, hours)
    rolling.write(engine, MIDDLE, {(*ALL, floor(NOW, MIDDLE) - 10 * MINUTE): Tally()})
    rolling.write(engine, SHORT, {(*ALL, floor(NOW, SHORT) - 10 * SECOND): Tally()})
    roller.roll(NOW)
    found = {at: (tally.jobs, tally.depth, tally.oldest) for (_, _, at), tally in rows_in(engine, spans.DAY).items()}
    assert found == {today - 2 * DAY: (sum(range(25, 49)), 48, 48.0), today - DAY: (sum(range(1, 25)), 24, 24.0)}


def test_the_roller_deletes_old_rows(roller: Roller, engine: Engine) -> None:
    old = kept_since(SHORT, NOW) - 10 * SECOND
    rolling.write(engine, SHORT, {(*ALL, old): Tally(), (*ALL, floor(NOW, SHORT) - 10 * SECOND): Tally()})
    rolling.write(engine, MIDDLE, {(*ALL, floor(NOW, MIDDLE) - 5 * MINUTE): Tally()})
    roller.roll(NOW)
    assert (*ALL, old) not in rows_in(engine, SHORT)


def test_old_rows_are_deleted_when_longer_ones_hold_them(engine: Engine) -> None:
    for number, seconds in enumerate(SPANS):
        length, first = timedelta(seconds=seconds), kept_since(seconds, NOW)
        rolling.write(engine, seconds, {(*ALL, first - n * length): Tally() for n in range(-2, 100)})
        with engine.connect() as connection:
            if number + 1 < len(SPANS):
                assert rolling.prune(connection, seconds, NOW) == 0
                longer = {(*ALL, floor(NOW, SPANS[number + 1])): Tally()}
                rolling.write(engine, SPANS[number + 1], longer)
            deleted = [rolling.prune(connection, seconds, NOW) for _ in range(3)]
        assert deleted == [60, 39, 0]
        assert min(at for _, _, at in rows_in(engine, seconds)) == first
        with engine.connect() as connection:
            connection.execute(Rollup.__table__.delete())  # type: ignore[attr-defined]


# -- whoever rolls -----------------------------------------------------------------------------------------------


def test_a_job_that_is_deleted_or_run_again_stays_counted(roller: Roller, engine: Engine) -> None:
    rows = [ended(NOW - n * SECOND, state=State.FAILURE) for n in (1, 2, 3)]
    insert(engine, *rows)
    live(roller, NOW, NOW + 15 * SECOND)
    with engine.connect() as connection:
        assert transitions.delete_ended(connection, rows[0]["id"])
        again = {"args": "[]", "kwargs": "{}", "line": "{}\n", "wake_at": NOW}
        assert transitions.run_again(connection, rows[1]["id"], 1, **again)  # type: ignore[arg-type]
    live(roller, NOW + 20 * SECOND, NOW + 10 * MINUTE, every=50 * SECOND)
    assert [jobs_in(engine, seconds) for seconds in (SHORT, MIDDLE)] == [3, 3]


def test_who_comes_late_with_less_is_refused(engine: Engine) -> None:
    key = (*ALL, floor(NOW, SHORT))
    more, less = Tally(succeeded=2, depth=1, oldest=1.0), Tally(succeeded=1, failed=0, depth=5, oldest=0.5)
    less.runs.add(3)
    known: rolling.Rows = {}
    for tally in (more, less):  # both have found the row missing
        rolling._write(engine, SHORT, [(key, tally)], known)
    found = rows_in(engine, SHORT)[key]
    assert (found.succeeded, found.runs.total, found.depth, found.oldest) == (2, 0, 5, 1.0)


def test_a_span_is_claimed_once(engine: Engine) -> None:
    together = threading.Barrier(4)

    def claim(_: int) -> bool:
        with engine.connect() as connection:
            together.wait()
            return rolling.claim(connection, SHORT, floor(NOW, SHORT))

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(claim, range(4))) == [False, False, False, True]


def test_two_rollers_at_once_make_the_rows_that_one_makes(every_database: Flask, engine: Engine) -> None:
    insert(engine, *(ended(NOW - n * SECOND, task=f"t{n % 7}", queue=f"q{n % 3}") for n in range(1, 300)))
    with engine.connect() as connection:
        expected = {
            key: tally
            for key, tally in rolling.count_ended(
                connection, SHORT, floor(NOW - HOUR, SHORT), floor(NOW, MIDDLE) + HOUR
            ).items()
            if tally.jobs
        }
    together = threading.Barrier(2)

    def roll(_: int) -> None:
        with every_database.app_context():
            roller = Roller(every_database)
            for n in range(12):
                together.wait()
                roller.roll(NOW - MINUTE + n * 10 * SECOND)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(roll, range(2)))
    found = {key: tally for key, tally in rows_in(engine, SHORT).items() if tally.jobs}
    for tally in found.values():
        tally.depth = tally.oldest = None
    assert found == expected


def test_looks_that_are_dear_come_less_often(roller: Roller, engine: Engine) -> None:
    now = live(roller, NOW - MINUTE, NOW)
    roller._rest = 30 * SECOND
    looked = [roller.roll(now + n * 10 * SECOND)[0] > 0 for n in range(7)]
    assert looked == [False, False, True, False, False, True, False]
    _has_no_hole(engine, SHORT, NOW - MINUTE)


def test_a_histogram_is_json(roller: Roller, engine: Engine) -> None:
    insert(engine, ended(NOW))
    roll_on(roller, NOW + 10 * SECOND)
    with engine.connect() as connection:
        (runs,) = connection.execute(select(Rollup.runs).where(Rollup.kind == "task")).one()
        assert connection.execute(select(func.count()).select_from(Rollup)).scalar_one() == 4
    assert json.loads(runs) == [[bucket_of(2.0), 1]]
