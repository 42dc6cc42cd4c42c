"""Progress: what a task reports may be anything; an estimate is made only where it is one."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_app.dashboard.drawing import progress
from task_app.dashboard.drawing.progress import about, seconds_left

anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()))


@pytest.mark.parametrize(
    ("current", "total", "elapsed", "left"),
    [
        *((50, 100, 60.0, 60.0), (25, 100, 30.0, 90.0), (1, 100, 60.0, None), (50, 100, 1.0, None)),
        *((100, 100, 60.0, None), (120, 100, 60.0, None), (0, 0, 60.0, None), (None, 100, 60.0, None)),
        *((True, 100, 60.0, None), ("50", 100, 60.0, None), (50, 100, None, None), (-5, 100, 60.0, None)),
    ],
)
def test_what_is_left_follows_from_what_was_done(current: Any, total: Any, elapsed: Any, left: float | None) -> None:
    assert seconds_left(current, total, elapsed) == left


@given(anything, anything, st.one_of(st.none(), st.floats(0, 10**9)))
def test_anything_can_be_reported(current: Any, total: Any, elapsed: float | None) -> None:
    left = seconds_left(current, total, elapsed)
    assert left is None or left > 0
    assert "<progress" in progress(state="PROGRESS", percent=None, current=current, total=total, elapsed=elapsed)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(2, "a few seconds"), (42, "about 40 s"), (84, "about 85 s"), (300, "about 5 min"), (9_000, "about 2 h")],
)
def test_an_estimate_is_no_finer_than_it_is(seconds: float, said: str) -> None:
    assert about(seconds) == said


def test_the_bar_has_a_name_a_value_and_the_message_as_text() -> None:
    evil = "<script>alert(1)</script>"
    drawn = progress(state="PROGRESS", percent=42.5, current=425, total=1_000, message=evil, elapsed=60, label=evil)
    tree = ElementTree.fromstring(drawn)
    (bar,) = list(tree.iter("progress"))
    assert (bar.get("value"), bar.get("max"), bar.get("aria-label")) == ("42.5", "100", evil)
    assert "".join(tree.itertext()).startswith("42.5 %425 of 1\u202f000about 80 s left")
    assert [one.text for one in tree.iter("p")] == [evil]


def test_without_a_percentage_the_bar_has_no_value() -> None:
    (bar,) = list(ElementTree.fromstring(progress(state="STARTED", percent=None)).iter("progress"))
    assert bar.get("value") is None
