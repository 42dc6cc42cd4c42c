"""Axes: every value has its height, ticks are round and few, and spans are put together without a rest."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from task_app.dashboard.drawing.amounts import between, brief, brief_duration, count, duration, iso
from task_app.dashboard.drawing.scales import STEPS, count_scale, duration_scale, span_step, time_ticks

START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


@given(st.integers(0, 10**12))
def test_a_scale_of_counts_has_few_whole_ticks_and_room_for_the_highest(highest: int) -> None:
    scale = count_scale(highest)
    assert scale.ticks[0] == 0
    assert 2 <= len(scale.ticks) <= 6
    assert all(tick == int(tick) for tick in scale.ticks)
    assert scale.high >= highest * (1 - 1e-9)
    assert scale(0) == 0
    assert 0 <= scale(highest) <= 1


@given(st.lists(st.floats(0, 10**8), max_size=30))
@example([5e-324])
def test_a_scale_of_time_spans_keeps_their_order(values: list[float]) -> None:
    scale = duration_scale(values)
    heights = [scale(value) for value in sorted(values)]
    assert heights == sorted(heights)
    assert all(0 <= height <= 1 for height in heights)
    assert 2 <= len(scale.ticks) <= 7
    assert all(value <= scale.high for value in values)
    assert len({scale.label(tick) for tick in scale.ticks}) == len(scale.ticks)


def test_a_scale_is_logarithmic_only_where_small_values_would_be_flat() -> None:
    assert not duration_scale([1.0, 50.0]).is_log
    wide = duration_scale([0.01, 50.0])
    assert wide.is_log
    assert wide(0.01) == 0
    assert [wide.label(tick) for tick in wide.ticks] == ["10 ms", "100 ms", "1 s", "10 s", "1 min"]
    assert wide(0.1) - wide(0.01) == pytest.approx(wide(10) - wide(1))


@given(st.sampled_from([60, 600, 3_600, 86_400, 7 * 86_400, 30 * 86_400, 400 * 86_400]), st.integers(0, 86_400))
def test_ticks_of_time_are_round_few_and_within(seconds: int, later: int) -> None:
    start = START + timedelta(seconds=later)
    end = start + timedelta(seconds=seconds)
    ticks = time_ticks(start, end)
    assert 2 <= len(ticks) <= 10
    assert sum(tick.is_coarse for tick in ticks) <= 5
    assert all(start <= tick.at <= end for tick in ticks)
    assert len({tick.at for tick in ticks}) == len(ticks)
    if ticks[0].step <= 86_400:
        assert all(tick.at.timestamp() % tick.step == 0 for tick in ticks)


def test_ticks_say_the_day_where_one_begins() -> None:
    assert [tick.label for tick in time_ticks(START, START + timedelta(hours=8))] == [
        *("20:00", "21:00", "22:00", "23:00", "22 Nov", "01:00", "02:00", "03:00", "04:00"),
    ]
    assert time_ticks(START, START + timedelta(seconds=40))[1].label == "20:00:05"


@given(st.sampled_from([1, 10, 300, 3_600]), st.integers(1, 2_000))
def test_spans_are_put_together_whole(step: int, number: int) -> None:
    size = span_step(timedelta(seconds=step), number, 12)
    assert -(-number // size) <= 12
    assert size == 1 or size * step in STEPS or number * step > STEPS[-1]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((-1, "0 ms"), (0, "0 ms"), (0.0004, "0.4 ms"), (0.34, "340 ms"), (0.9999, "1 s"), (12.44, "12.4 s")),
        *((59.96, "1 min"), (200, "3 min 20 s"), (3_600, "1 h"), (7_500, "2 h 5 min"), (273_600, "3 d 4 h")),
    ],
)
def test_time_spans_have_two_units_at_most(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_numbers_are_short_on_axes_and_whole_elsewhere() -> None:
    assert [brief(n) for n in (0, 800, 1_500, 20_000, 3_000_000)] == ["0", "800", "1.5k", "20k", "3M"]
    assert [brief_duration(s) for s in (0, 0.25, 1.5, 90, 9_000)] == ["0 s", "250 ms", "1.5 s", "1.5 min", "2.5 h"]
    assert count(1_234_567) == "1\u202f234\u202f567"


def test_a_span_of_time_names_its_day_once() -> None:
    assert between(START, START + timedelta(hours=1)) == "21 Nov 2026 20:00 to 21:00 UTC"
    assert between(START, START + timedelta(days=1)) == "21 Nov 2026 20:00 to 22 Nov 2026 20:00 UTC"
    assert iso(START) == "2026-11-21T20:00:00Z"
