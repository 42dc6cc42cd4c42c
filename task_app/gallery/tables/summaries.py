"""What is told of a column: one class for each kind of values. Each takes values batch by batch and keeps little."""

import math
from collections import Counter
from typing import Any

import polars as pl

from .kinds import Kind, moments, numbers, truths, whole

#: Bars of a histogram.
BINS = 20
#: Values of text that are told with how often they come.
TOP = 10
#: Characters of a text that are looked at to tell it from others, and shown.
TEXT_LENGTH = 100
#: Hashes that are kept to estimate how many different texts there are: the error is about 1/√4096, 1.6 %.
HASHES = 4096
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def finite(value: float | None) -> float | None:
    """Leave out what JSON has no word for."""
    return value if value is not None and math.isfinite(value) else None


class Numbers:
    """Numbers: their range, mean, standard deviation and histogram; quantiles come from a sample."""

    def __init__(self, kind: Kind, low: float | None, high: float | None) -> None:
        self._kind = kind
        self._low, self._high, self._bars = low or 0.0, high or 0.0, BINS
        if kind is Kind.INT and self._high - self._low < BINS:  # a bar for each number
            self._bars = int(self._high - self._low) + 1
            self._low, self._high = self._low - 0.5, self._high + 0.5
        self._range = low, high
        self._least: int | None = None
        self._most: int | None = None
        self._count, self._mean, self._squares, self._infinite = 0, 0.0, 0.0, 0
        self._bins = Counter[int]()

    def add(self, values: pl.Series) -> None:
        """Take values, as text, none of them missing."""
        found = numbers(values)
        sound = found.filter(found.is_finite())
        self._infinite += len(found) - len(sound)
        if not len(sound):
            return
        if self._kind is Kind.INT:
            exact = whole(values)
            least, most = int(exact.min()), int(exact.max())  # type: ignore[arg-type]
            self._least = least if self._least is None else min(least, self._least)
            self._most = most if self._most is None else max(most, self._most)
        self._take_moments(sound)
        self._bins.update(dict(self._bin(sound).value_counts().iter_rows()))

    def _take_moments(self, values: pl.Series) -> None:
        """Add the mean and the squared distances of a batch to those of all before (Chan's way: it loses no digits)."""
        number, mean = len(values), float(values.mean())  # type: ignore[arg-type]
        squares = float(values.var(ddof=0) or 0.0) * number  # type: ignore[arg-type]
        total = self._count + number
        apart = mean - self._mean
        self._mean += apart * number / total
        try:
            self._squares += squares + apart**2 * self._count * number / total
        except OverflowError:
            self._squares = math.inf
        self._count = total

    def _bin(self, values: pl.Series) -> pl.Series:
        width = self._width
        if not width:
            return pl.Series([0] * len(values), dtype=pl.Int64)
        return ((values / width) - (self._low / width)).floor().clip(0, self._bars - 1).cast(pl.Int64)

    @property
    def _width(self) -> float:
        width = self._high / self._bars - self._low / self._bars  # the difference may be too large for a float
        # Where a step is lost beside the numbers themselves, one bar is all that can be told.
        return width if width > 1e-300 and max(abs(self._high), abs(self._low)) / width < 1e15 else 0.0

    def told(self, sample: pl.Series) -> dict[str, Any]:
        """Return what is known, with the quantiles of a sample."""
        if not self._count:
            return {"infinite": self._infinite} if self._infinite else {}
        drawn = numbers(sample)
        drawn = drawn.filter(drawn.is_finite())
        bars = [self._bins[number] for number in range(self._bars if self._width else 1)]
        least, most = (self._least, self._most) if self._kind is Kind.INT else self._range
        return {
            "min": least,
            "max": most,
            "mean": finite(self._mean),
            "std": finite(math.sqrt(self._squares / (self._count - 1))) if self._count > 1 else None,
            "quantiles": {f"p{part * 100:g}": finite(drawn.quantile(part, "linear")) for part in QUANTILES},
            "histogram": {"from": self._low, "to": self._high, "counts": bars},
            **({"infinite": self._infinite} if self._infinite else {}),
        }


class Texts:
    """Texts: the most frequent, how many different ones there are, and how long the longest is."""

    def __init__(self, room: int) -> None:
        self._room = room  # different values that are counted at once
        self._counts = Counter[str]()
        self._is_complete = True
        self._hashes = pl.Series([], dtype=pl.UInt64)
        self._longest = 0

    def add(self, values: pl.Series) -> None:
        """Take values, none of them missing."""
        self._longest = max(self._longest, int(values.str.len_chars().max() or 0))  # type: ignore[arg-type]
        self._hashes = pl.concat([self._hashes, values.hash(seed=0).unique()]).unique().sort().head(HASHES)
        counted = values.str.slice(0, TEXT_LENGTH).value_counts(sort=True)
        self._is_complete &= counted.height <= self._room
        self._counts.update(dict(counted.head(self._room).iter_rows()))
        if len(self._counts) > 2 * self._room:
            self._is_complete = False
            self._counts = Counter(dict(self._counts.most_common(self._room)))

    def told(self, _sample: pl.Series) -> dict[str, Any]:
        """Return what is known."""
        kept = len(self._hashes)
        is_exact = kept < HASHES
        # Of values spread evenly, the k-th smallest tells how close together they lie.
        distinct = kept if is_exact else round((HASHES - 1) / (int(self._hashes[-1]) / 2**64))
        top = [{"value": value, "count": count} for value, count in self._counts.most_common(TOP)]
        return {
            "distinct": distinct,
            "distinct_is_approximate": not is_exact,
            "top": top,
            "top_is_approximate": not self._is_complete,
            "longest": self._longest,
        }


class Moments:
    """Dates, or dates with times: the first and the last."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._first: Any = None
        self._last: Any = None

    def add(self, values: pl.Series) -> None:
        """Take values, as text, none of them missing."""
        found = moments(values)
        first, last = found.min(), found.max()
        self._first = first if self._first is None else min(first, self._first)
        self._last = last if self._last is None else max(last, self._last)

    def told(self, _sample: pl.Series) -> dict[str, Any]:
        """Return what is known."""
        return {"min": self._written(self._first), "max": self._written(self._last)}

    def _written(self, moment: Any) -> str:
        if self._kind is Kind.DATE:
            return str(moment.date().isoformat())
        return str(moment.isoformat().replace("+00:00", "Z"))


class Truths:
    """True and false."""

    def __init__(self) -> None:
        self._counts = Counter[bool]()

    def add(self, values: pl.Series) -> None:
        """Take values, as text, none of them missing."""
        self._counts.update(dict(truths(values).value_counts().iter_rows()))

    def told(self, _sample: pl.Series) -> dict[str, Any]:
        """Return what is known."""
        return {"true": self._counts[True], "false": self._counts[False]}


class Nothing:
    """A column in which every value is missing."""

    def add(self, values: pl.Series) -> None:
        """Take nothing."""

    def told(self, _sample: pl.Series) -> dict[str, Any]:
        """Return nothing."""
        return {}


Summary = Numbers | Texts | Moments | Truths | Nothing
