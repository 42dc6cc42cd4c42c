"""The timeline of a job: a lane per attempt, readable from milliseconds to days, the same facts as text."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from task_app.dashboard.drawing import lanes
from task_app.dashboard.drawing.lanes import NEWEST, widths
from task_app.jobs import timeline

START = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Piece:
    kind: str
    label: str
    start: datetime
    end: datetime
    attempt: int = 1
    state: str | None = None
    open: bool = False


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def drawn(*boxes: Piece, now: float = 100) -> ElementTree.Element:
    return ElementTree.fromstring(lanes(boxes, now=after(now), earlier_url="#attempts"))


def boxes_of(tree: ElementTree.Element) -> list[ElementTree.Element]:
    return [one for one in tree.iter("li") if "box" in one.get("class", "").split()]


@given(st.lists(st.lists(st.floats(0, 10**8), min_size=1, max_size=12), min_size=1, max_size=12))
def test_widths_fill_no_more_than_the_lane_and_longer_is_not_narrower(rows: list[list[float]]) -> None:
    for row, sizes in zip(rows, widths(rows), strict=True):
        assert all(size >= 1 for size in sizes)
        assert sum(sizes) <= 100
        for seconds, size in zip(row, sizes, strict=True):
            assert all(size >= other - 1 for less, other in zip(row, sizes, strict=True) if less <= seconds)


@given(st.lists(st.floats(1, 10**8), min_size=1, max_size=6))
def test_the_longest_lane_is_full_and_every_box_can_be_read(row: list[float]) -> None:
    (sizes,) = widths([row])
    assert sum(sizes) == 100
    assert min(sizes) >= 9


def test_a_box_says_what_how_long_and_from_when_to_when() -> None:
    tree = drawn(
        Piece("queue", "waited in its queue", START, after(0.013)),
        Piece("run", "ran", after(0.013), after(3.4), 1, "SUCCESS"),
    )
    first, second = boxes_of(tree)
    assert "".join(first.itertext()).startswith("waited in its queue13 ms 21 Nov 2026 20:00:00 UTC – ")
    assert (second.get("data-kind"), second.get("data-state")) == ("run", "SUCCESS")
    assert "3.4 s in all" in "".join(tree.itertext())


def test_what_goes_on_is_marked_and_counted_on_from_the_servers_clock() -> None:
    (box,) = boxes_of(drawn(Piece("run", "runs", START, after(100), 1, "STARTED", True)))
    assert "open" in box.get("class", "").split()
    assert box[1].get("data-seconds") == "100.000"
    assert "still going" in "".join(box.itertext())


def test_of_many_attempts_the_newest_are_shown_and_the_others_counted() -> None:
    pieces = [Piece("run", "ran", after(n), after(n + 1), n, "RETRY") for n in range(1, 31)]
    tree = drawn(*pieces)
    assert [link.text for link in tree.iter("a")] == [f"{30 - NEWEST} earlier attempts"]
    assert [one.text for one in tree.iter("b")] == [f"Attempt {n}" for n in range(31 - NEWEST, 31)]


def test_labels_stay_text() -> None:
    evil = "<script>alert(1)</script>\"'&"
    (box,) = boxes_of(drawn(Piece(evil, evil, START, after(1), 1, evil)))
    assert box[0].text == box.get("data-kind") == box.get("data-state") == evil


def test_no_boxes_and_boxes_without_length_are_drawn() -> None:
    assert not boxes_of(drawn())
    assert [
        re.findall(r"wide-\d+", box.get("class", "")) for box in boxes_of(drawn(Piece("run", "ran", START, START)))
    ] == [["wide-13"]]


def test_boxes_of_the_kernel_fit() -> None:
    box = timeline.Box(kind=timeline.Kind.RUN, label="ran", start=START, end=after(2), attempt=1, state="SUCCESS")
    assert 'data-kind="run"' in lanes([box], now=after(3))
