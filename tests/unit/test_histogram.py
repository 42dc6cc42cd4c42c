"""Histograms: what their percentiles are worth, and that adding them up loses nothing."""

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_app.jobs.histogram import ERROR, GROWTH, LEAST, Histogram, bucket_of, middle_of

DURATIONS = st.lists(st.floats(0, timedelta(days=400).total_seconds()), min_size=1, max_size=200)
PARTS = st.floats(0, 1)


def histogram_of(durations: list[float]) -> Histogram:
    made = Histogram()
    for seconds in durations:
        bucket = bucket_of(seconds)
        assert bucket is not None
        made.add(bucket)
    return made


def nearest_rank(durations: list[float], part: float) -> float:
    return sorted(durations)[max(1, math.ceil(part * len(durations))) - 1]


@given(DURATIONS, PARTS)
def test_a_percentile_is_off_by_the_known_error_at_most(durations: list[float], part: float) -> None:
    (found,) = histogram_of(durations).percentiles(part) or [math.nan]
    exact = nearest_rank(durations, part)
    assert abs(found - exact) <= (LEAST / 2 if exact < LEAST else exact * ERROR * (1 + 1e-9))


def test_the_error_is_what_the_documentation_says() -> None:
    assert 0.04 < ERROR < 0.045


@given(DURATIONS, DURATIONS)
def test_two_histograms_make_the_histogram_of_both(one: list[float], other: list[float]) -> None:
    merged = histogram_of(one)
    merged.merge(histogram_of(other))
    both = histogram_of(one + other)
    assert merged == both and merged.to_json() == both.to_json()
    assert Histogram.from_json(both.to_json()) == both
    assert both.total == len(one + other)


@given(DURATIONS)
def test_percentiles_rise(durations: list[float]) -> None:
    found = histogram_of(durations).percentiles(0.0, 0.5, 0.95, 0.99, 1.0)
    assert found is not None and found == sorted(found) and len(found) == 5


def test_an_empty_histogram_has_no_percentiles() -> None:
    assert Histogram().percentiles(0.5) is None
    assert Histogram().to_json() == "[]"


@pytest.mark.parametrize("seconds", [-5.0, 0.0, LEAST * 0.999])
def test_what_takes_no_time_is_in_the_first_bucket(seconds: float) -> None:
    assert bucket_of(seconds) == 0


def test_no_moment_no_bucket() -> None:
    assert bucket_of(None) is None


@given(st.integers(1, 400))
def test_the_middle_of_a_bucket_lies_in_it(bucket: int) -> None:
    assert bucket_of(middle_of(bucket)) == bucket
    assert bucket_of(middle_of(bucket) * GROWTH) == bucket + 1
