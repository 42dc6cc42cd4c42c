"""What the values of a column are: found while they pass by, widened where one doesn't fit."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import polars as pl

#: What people and programs write where a value is missing, besides nothing. In a column of text they are text.
MISSING_WORDS = ("na", "n/a", "nan", "nil", "none", "null", "-", "?", "#n/a")

#: An integer that fits into 64 bits.
_WHOLE = r"^[+-]?(?:0|[1-9][0-9]{0,17})$"
#: Digits that are no number: postcodes, telephone numbers.
_PADDED = r"^[+-]?0[0-9]"
#: What Python's dates can be.
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
_DATE = r"^\d{4}-\d\d-\d\d$"


class Kind(StrEnum):
    """What all values of a column are."""

    EMPTY = "empty"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    DATE = "date"
    DATETIME = "datetime"
    TEXT = "text"


#: What else a column may be in which a value turned up that doesn't fit.
WIDER = {
    Kind.BOOL: Kind.TEXT,
    Kind.INT: Kind.FLOAT,
    Kind.FLOAT: Kind.TEXT,
    Kind.DATE: Kind.DATETIME,
    Kind.DATETIME: Kind.TEXT,
}
NUMBERS = (Kind.INT, Kind.FLOAT)


def present(values: pl.Series) -> pl.Series:
    """Leave out what is missing, words for it too."""
    values = values.drop_nulls()
    return values.filter(~values.str.to_lowercase().is_in(MISSING_WORDS))


def whole(values: pl.Series) -> pl.Series:
    """Read integers; null where one is none."""
    return values.cast(pl.Int64, strict=False)


def numbers(values: pl.Series) -> pl.Series:
    """Read numbers; null where one is none."""
    return values.cast(pl.Float64, strict=False)


def truths(values: pl.Series) -> pl.Series:
    """Read true and false, yes and no; null where one is none."""
    words = {"true": True, "yes": True, "false": False, "no": False}
    return values.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)


def dates(values: pl.Series) -> pl.Series:
    """Read ISO dates; null where one is none."""
    found = values.filter(values.str.contains(_DATE)).str.to_date("%Y-%m-%d", strict=False)
    return found.set(~found.is_between(_FIRST.date(), _LAST.date()), None)


def moments(values: pl.Series) -> pl.Series:
    """Read ISO dates and times, in UTC; those without a zone are taken for UTC. Null where one is none."""
    text = values.str.replace(r"[Tt]", " ").str.replace(r"[Zz]$", "+00:00")
    found = pl.Series([None] * len(text), dtype=pl.Datetime("us", "UTC"))
    for written in ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d"):
        plain = text.str.to_datetime(written, strict=False, time_unit="us")
        found = found.fill_null(plain.dt.replace_time_zone("UTC"))
    for written in ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z"):
        if found.null_count():
            zoned = text.str.to_datetime(written, strict=False, time_unit="us", time_zone="UTC")
            found = found.fill_null(zoned)
    return found.set(~found.is_between(_FIRST, _LAST), None)


def _are_whole(values: pl.Series) -> bool:
    return bool(values.str.contains(_WHOLE).all())


def _are_numbers(values: pl.Series) -> bool:
    return not values.str.contains(_PADDED).any() and not numbers(values).null_count()


def _are_dates(values: pl.Series) -> bool:
    found = dates(values)
    return len(found) == len(values) and not found.null_count()


_FITS: dict[Kind, Callable[[pl.Series], bool]] = {
    Kind.BOOL: lambda values: not truths(values).null_count(),
    Kind.INT: _are_whole,
    Kind.FLOAT: _are_numbers,
    Kind.DATE: _are_dates,
    Kind.DATETIME: lambda values: not moments(values).null_count(),
}


@dataclass(slots=True)
class Guess:
    """What is known of a column after a look at all its values."""

    kind: Kind = Kind.EMPTY
    rows: int = 0
    blank: int = 0  # nothing there
    words: int = 0  # a word for missing there
    low: float | None = None  # of the finite numbers
    high: float | None = None

    def see(self, values: pl.Series) -> None:
        """Take some more values."""
        self.rows += len(values)
        self.blank += values.null_count()
        found = present(values)
        self.words += len(values) - values.null_count() - len(found)
        if len(found):
            self._widen(found)
        if self.kind in NUMBERS and len(found):
            self._stretch(numbers(found))

    def _widen(self, values: pl.Series) -> None:
        if self.kind is Kind.EMPTY:
            self.kind = next((kind for kind, fits in _FITS.items() if fits(values)), Kind.TEXT)
        while self.kind is not Kind.TEXT and not _FITS[self.kind](values):
            self.kind = WIDER[self.kind]

    def _stretch(self, values: pl.Series) -> None:
        finite = values.filter(values.is_finite())
        if len(finite):
            low, high = float(finite.min()), float(finite.max())  # type: ignore[arg-type]
            self.low = low if self.low is None else min(low, self.low)
            self.high = high if self.high is None else max(high, self.high)

    @property
    def is_text(self) -> bool:
        """Say whether words for missing are text like any other: also where there is nothing else."""
        return self.kind is Kind.TEXT

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return self.blank if self.is_text else self.blank + self.words
