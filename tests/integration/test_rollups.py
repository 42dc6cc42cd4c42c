"""What pages read of the past: points, percentiles, gaps and totals, on every database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from task_app.jobs import rolling, rollups, spans
from task_app.jobs.histogram import ERROR, Histogram, bucket_of
from task_app.jobs.rollups import Kind
from task_app.jobs.spans import LONG, MIDDLE, SHORT, ceil, floor, kept_since
from task_app.jobs.tally import Tally

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
NOW = datetime.now(UTC)
THIS_HOUR = floor(NOW, LONG)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def tally(succeeded: int = 1, failed: int = 0, run: float = 1.0, **more: Any) -> Tally:
    jobs = succeeded + failed
    runs = Histogram({bucket_of(run) or 0: jobs}) if jobs else Histogram()
    waits = Histogram({bucket_of(2 * run) or 0: jobs}) if jobs else Histogram()
    return Tally(succeeded=succeeded, failed=failed, runs=runs, waits=waits, **more)


def fill(engine: Engine, seconds: int, start: datetime, end: datetime, **of: Tally) -> None:
    """Write the same for each span; a task or queue of each name, and its jobs among all."""
    rows: rolling.Rows = {}
    for at in rolling.beginnings(start, end, seconds):
        whole = rows[Kind.ALL, "", at] = Tally()
        for name, counted in of.items():
            kind = Kind.QUEUE if name.startswith("queue") else Kind.TASK
            rows[kind, name, at] = counted
            whole.add(counted)
        if "queue" not in "".join(of):
            whole.depth, whole.oldest = 0, 0.0
    rolling.write(engine, seconds, rows)


def test_a_series_has_a_point_for_each_step(engine: Engine, connection: Connection) -> None:
    start, end = floor(NOW - HOUR, SHORT), floor(NOW, SHORT)
    fill(engine, SHORT, start, end, add=tally(2, 1, run=0.5), other=tally())
    found = rollups.series(connection, Kind.TASK, "add", start=start, end=end)
    assert (found.seconds, len(found.points), found.start, found.end) == (10, 360, start, end)
    assert [point.at for point in found.points] == list(rolling.beginnings(start, end, 10))
    figures = found.points[0].figures
    assert figures is not None and (figures.succeeded, figures.failed, figures.jobs) == (2, 1, 3)
    assert figures.run is not None and figures.run.p95 == pytest.approx(0.5, rel=ERROR)
    assert figures.wait is not None and figures.wait.p50 == pytest.approx(1.0, rel=ERROR)
    assert found.points[0].rate == pytest.approx(0.3)
    everything = rollups.series(connection, Kind.ALL, start=start, end=end)
    assert everything.points[0].figures is not None and everything.points[0].figures.jobs == 4
    assert (found.total.jobs, everything.total.jobs) == (3 * 360, 4 * 360)


def test_a_gap_is_no_zero(engine: Engine, connection: Connection) -> None:
    start = floor(NOW - 10 * MINUTE, SHORT)
    fill(engine, SHORT, start, start + 20 * SECOND, add=tally())
    fill(engine, SHORT, start + 40 * SECOND, start + 60 * SECOND, other=tally())
    points = rollups.series(connection, Kind.TASK, "add", start=start, end=start + MINUTE, points=6).points
    assert [point.figures and point.figures.jobs for point in points] == [1, 1, None, None, 0, 0]
    assert [point.rate for point in points] == [0.1, 0.1, None, None, 0, 0]
    # A longer step of which a part was looked at is no gap, and knows which part.
    (whole,) = rollups.series(connection, Kind.TASK, "add", start=start, end=start + MINUTE, points=1).points[:1]
    assert whole.figures is not None and whole.seconds < 60


def test_a_queue_without_a_row_is_empty_only_where_somebody_looked(engine: Engine, connection: Connection) -> None:
    start = floor(NOW - 10 * MINUTE, SHORT)
    fill(engine, SHORT, start, start + 10 * SECOND, queue=tally(0, depth=7, oldest=3.0))
    fill(engine, SHORT, start + 10 * SECOND, start + 20 * SECOND)
    rolling.write(engine, SHORT, {(Kind.ALL, "", start + 20 * SECOND): Tally(succeeded=1)})  # caught up with later
    found = rollups.series(connection, Kind.QUEUE, "queue", start=start, end=start + 40 * SECOND, points=4).points
    seen = [point.figures and (point.figures.depth, point.figures.oldest) for point in found]
    assert seen == [(7, 3.0), (0, 0.0), (None, None), None]


def test_the_span_that_is_not_over_is_left_out(engine: Engine, connection: Connection) -> None:
    now = datetime.now(UTC)
    fill(engine, SHORT, floor(now - HOUR, LONG), floor(now + HOUR, SHORT), add=tally())
    for points in (360, 1):  # the last of longer steps is made of what is over
        found = rollups.series(connection, Kind.ALL, start=now - 10 * MINUTE, end=now + DAY, points=points)
        over = floor(datetime.now(UTC), SHORT)
        assert found.start + found.total.jobs * 10 * SECOND <= over and found.end <= ceil(over, found.seconds)


def test_longer_windows_are_made_of_longer_rows_and_end_in_shorter_ones(engine: Engine, connection: Connection) -> None:
    fill(engine, LONG, THIS_HOUR - 30 * DAY, THIS_HOUR - 2 * HOUR, add=tally(1000))
    fill(engine, MIDDLE, THIS_HOUR - 2 * HOUR, THIS_HOUR - HOUR, add=tally(100))
    fill(engine, SHORT, THIS_HOUR - HOUR, THIS_HOUR, add=tally(1))
    # Shorter rows that are kept still; they must not count twice.
    fill(engine, MIDDLE, THIS_HOUR - 9 * HOUR, THIS_HOUR - 2 * HOUR, add=tally(7))
    fill(engine, SHORT, THIS_HOUR - 2 * HOUR, THIS_HOUR - HOUR, add=tally(7))
    days = rollups.series(connection, Kind.TASK, "add", start=THIS_HOUR - 10 * DAY, end=NOW)
    assert days.seconds == 3600
    jobs = [point.figures.jobs for point in days.points if point.figures is not None]
    assert jobs == [1000] * (10 * 24 - 2) + [1200, 360]
    table = rollups.by_name(connection, Kind.TASK, start=THIS_HOUR - 10 * DAY, end=NOW)
    assert table["add"].jobs == sum(jobs)
    assert rollups.names(connection, Kind.TASK, start=THIS_HOUR - 10 * DAY, end=NOW) == ["add"]
    half_past = rollups.by_name(connection, Kind.TASK, start=THIS_HOUR - 4.5 * HOUR, end=NOW)
    assert half_past["add"].jobs == 6 * 7 + 2 * 1000 + 12 * 100 + 360


@pytest.mark.parametrize(
    ("ago", "length", "points", "seconds"),
    [
        (HOUR, HOUR, 360, 10),
        (HOUR, HOUR, 60, 60),
        (2 * HOUR, 2 * HOUR, 360, 20),
        (6 * HOUR, 6 * HOUR, 360, 300),  # so long ago the shortest rows are gone
        (DAY, DAY, 360, 300),
        (2 * DAY, 10 * MINUTE, 360, 300),
        (10 * DAY, HOUR, 360, 3600),
        (100 * DAY, HOUR, 360, 86400),
        (30 * DAY, 30 * DAY, 360, 7200),
        (400 * DAY, 400 * DAY, 360, 2 * 86400),
        (5000 * DAY, 5000 * DAY, 30, 13 * 86400),  # rows are kept for 400 days
    ],
)
def test_the_steps_fit_the_window(
    connection: Connection, ago: timedelta, length: timedelta, points: int, seconds: int
) -> None:
    found = rollups.series(connection, Kind.ALL, start=NOW - ago, end=NOW - ago + length, points=points)
    assert (found.seconds, len(found.points) <= points + 2) == (seconds, True)
    assert found.start <= max(NOW - ago, kept_since(spans.DAY, NOW)) and found.total.jobs == 0


def test_a_window_that_is_no_window_is_empty(connection: Connection) -> None:
    for start, end in ((NOW, NOW - HOUR), (NOW + DAY, NOW + 2 * DAY), (NOW, NOW)):
        assert len(rollups.series(connection, Kind.ALL, start=start, end=end).points) <= 1
        assert rollups.by_name(connection, Kind.TASK, start=start, end=end) == {}
        assert rollups.names(connection, Kind.TASK, start=start, end=end) == []


def test_tables_have_the_busiest_first(engine: Engine, connection: Connection) -> None:
    start = floor(NOW - 10 * MINUTE, SHORT)
    fill(engine, SHORT, start, start + MINUTE, a_seldom=tally(1), often=tally(5, 2), queue=tally(3))
    found = rollups.by_name(connection, Kind.TASK, start=start, end=NOW)
    assert {name: (figures.jobs, figures.failed) for name, figures in found.items()} == {
        "often": (42, 12),
        "a_seldom": (6, 0),
    }
    assert list(found) == ["often", "a_seldom"]
    assert rollups.by_name(connection, Kind.TASK, start=start, end=NOW, limit=1) == {"often": found["often"]}
    assert rollups.names(connection, Kind.QUEUE, start=start, end=NOW) == ["queue"]


def test_sparklines_come_for_many_at_once(engine: Engine, connection: Connection) -> None:
    start = floor(NOW - 20 * MINUTE, MIDDLE)
    fill(engine, SHORT, start, start + MINUTE, a=tally(1, 1), b=tally(3))
    fill(engine, SHORT, start + 2 * MINUTE, start + 3 * MINUTE, b=tally(1))
    end = start + 4 * MINUTE
    found = rollups.sparklines(connection, Kind.TASK, ["a", "b", "never"], start=start, end=end, points=3)
    assert {name: [counts and counts.jobs for counts in line] for name, line in found.items()} == {
        "a": [12, None, 0, None],
        "b": [18, None, 6, None],
        "never": [0, None, 0, None],
    }
    assert found["a"][0] is not None and found["a"][0].failed == 6
    assert rollups.sparklines(connection, Kind.TASK, [], start=start, end=end) == {}
