"""What a chart over time shows: equal spans, and rows of values for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import amounts
from .scales import span_step

#: Given two moments as text and a state or None: the address of the jobs between them. It is called once with
#: placeholders for the moments, so it must put them into the address as they are.
Link = Callable[[str, str, str | None], str]
Values = Sequence[float | None]

#: What `Link` is given for the script, which fills in the moments.
FROM, UNTIL = "__from__", "__until__"
_ROWS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`count` spans of equal length from `start` on.

    `now` tells spans that are not over yet from those that are; `seen` says for which spans there is a record at all
    (all, where it is None): the others are drawn as unknown, never as nothing.
    """

    start: datetime
    step: timedelta
    count: int
    now: datetime | None = None
    seen: Sequence[bool] | None = None

    @property
    def end(self) -> datetime:
        """When the last span ends."""
        return self.at(self.count)

    def at(self, index: int) -> datetime:
        """When a span begins."""
        return self.start + index * self.step

    def is_over(self, index: int) -> bool:
        """Say whether no more can happen in a span."""
        return self.now is None or self.at(index + 1) <= self.now

    def was_seen(self, index: int) -> bool:
        """Say whether there is a record of a span."""
        return self.seen is None or self.seen[index]

    def rows(self) -> Iterator[range]:
        """Put spans together, as few as a table for people can have."""
        size = span_step(self.step, self.count, _ROWS)
        for first in range(0, self.count, size):
            yield range(first, min(first + size, self.count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One row of values: its name, what it is (`kind`, which gives the colour), and how its values are written."""

    name: str
    kind: str
    values: Values
    figure: str
    is_duration: bool = False
    state: str | None = None

    def write(self, value: float | None) -> str:
        """Write a value for people."""
        if value is None:
            return "–"
        return amounts.duration(value) if self.is_duration else amounts.count(value)

    def packed(self) -> str:
        """Write all values for the script, short; `-` is none."""
        return " ".join("-" if value is None else self._pack(value) for value in self.values)

    def _pack(self, value: float) -> str:
        if not self.is_duration or value >= 1_000:
            return f"{value:.0f}"
        return f"{value:.3g}".replace("0.", ".", 1) if value < 1 else f"{value:.3g}"

    def over(self, row: range) -> float | None:
        """Return the value of several spans: how many in all, or the highest."""
        known = [value for i in row if (value := self.values[i]) is not None]
        if not known:
            return None
        return max(known) if self.is_duration or self.state is None else sum(known)


def known(values: Values) -> list[float]:
    """Return the values that there are."""
    return [value for value in values if value is not None]


def runs(flags: Sequence[bool]) -> Iterator[range]:
    """Return the stretches that are true."""
    first = None
    for index, flag in enumerate([*flags, False]):
        if flag and first is None:
            first = index
        elif not flag and first is not None:
            yield range(first, index)
            first = None
