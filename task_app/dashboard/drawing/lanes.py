"""The timeline of a job: a lane for each attempt, a box for each thing it waited for or did.

An ordered list in HTML, not a picture: screen readers and phones read the same facts, and a box knows how wide it is
(container queries), so that words that have no room are left out instead of cut.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Protocol

from markupsafe import Markup

from . import amounts
from .svg import tag

#: Attempts shown; of the earlier ones it says how many there were.
NEWEST = 12
#: A box has so much of its lane however short it was, in percent, and all together at most `_SHARED`.
_LEAST, _SHARED = 13, 60


class Box(Protocol):
    """A stretch of a job's life. `end` may be None while it is open; `state`: what the attempt ended in, if it did."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def start(self) -> datetime: ...  # noqa: D102
    @property
    def end(self) -> datetime | None: ...  # noqa: D102
    @property
    def attempt(self) -> int: ...  # noqa: D102
    @property
    def state(self) -> str | None: ...  # noqa: D102
    @property
    def open(self) -> bool: ...  # noqa: D102


def lanes(boxes: Iterable[Box], *, now: datetime, name: str = "timeline", earlier_url: str | None = None) -> Markup:
    """Draw boxes, which come in the order of time. `earlier_url` leads to the attempts that are left out."""
    rows = [list(row) for _, row in groupby(boxes, key=lambda box: box.attempt)]
    left_out, rows = max(0, len(rows) - NEWEST), rows[-NEWEST:]
    wide = widths([[_seconds(box, now) for box in row] for row in rows])
    lane_list = tag("ol", *(_lane(row, size, now) for row, size in zip(rows, wide, strict=True)), class_="lane-list")
    note = tag("p", "Longer is wider, by the square root of the time.", class_="chart-note", aria_hidden="true")
    return tag("div", _earlier(left_out, earlier_url), lane_list, note if rows else None, class_="lanes", id=name)


def widths(rows: Sequence[Sequence[float]]) -> list[list[int]]:
    """Return how wide each box is, in percent of its lane: a least width and a share that grows with the square root.

    All lanes have the same measure, the longest is full; seconds beside hours stay readable, and longer is wider.
    """
    most = max((len(row) for row in rows), default=1)
    least = min(_LEAST, _SHARED / most)
    grows = [(100 - least * len(row)) / roots for row in rows if (roots := sum(map(math.sqrt, row)))]
    factor = min(grows, default=0.0)
    return [_whole([least + factor * math.sqrt(seconds) for seconds in row]) for row in rows]


def _whole(parts: Sequence[float]) -> list[int]:
    """Round so that the sum is right too: the ends are rounded, not the widths."""
    sizes, end, drawn = [], 0.0, 0
    for part in parts:
        end += part
        sizes.append(max(1, round(end) - drawn))
        drawn += sizes[-1]
    return sizes


def _seconds(box: Box, now: datetime) -> float:
    return max(0.0, ((box.end or now) - box.start).total_seconds())


def _lane(row: Sequence[Box], sizes: Sequence[int], now: datetime) -> Markup:
    first, last = row[0], row[-1]
    took = sum(_seconds(box, now) for box in row)
    head = tag(
        "div",
        tag("b", f"Attempt {first.attempt}" if first.attempt else "Before the first attempt"),
        tag("span", last.state, class_="state", data_state=last.state) if last.state else None,
        tag("span", _moment(first.start), " · ", amounts.duration(took), " in all", class_="muted"),
        class_="lane-head",
    )
    boxes = tag("ol", *(_box(box, size, now) for box, size in zip(row, sizes, strict=True)), class_="boxes")
    return tag("li", head, boxes, class_="lane")


def _box(box: Box, size: int, now: datetime) -> Markup:
    seconds = _seconds(box, now)
    took = amounts.duration(seconds)
    end = "still going" if box.open else amounts.moment(box.end or now)
    between = f"{amounts.moment(box.start)} – {end}"
    return tag(
        "li",
        tag("span", box.label, class_="box-label"),
        tag("span", took, class_="box-time", data_seconds=f"{seconds:.3f}" if box.open else None),
        tag("span", f" {between}", class_="visually-hidden"),
        class_=f"box wide-{size}{' open' if box.open else ''}",
        data_kind=box.kind,
        data_state=box.state,
        title=f"{box.label}: {took}\n{between}",
    )


def _moment(at: datetime) -> Markup:
    return tag("time", amounts.moment(at), datetime=amounts.iso(at), data_clock="absolute")


def _earlier(number: int, url: str | None) -> Markup | None:
    if not number:
        return None
    words = f"{number} earlier attempt{'s' if number > 1 else ''}"
    return tag("p", tag("a", words, href=url) if url else words, class_="muted")
