"""The analysis of a table: a first pass finds out what the columns are, a second counts.

Two passes, because what a column is, and between which numbers its histogram lies, is known only after its last value.
Memory is that of a few blocks, of what the summaries keep, and of a sample of rows for the quantiles.
"""

import random
from bisect import bisect_left
from pathlib import Path
from typing import Any

import polars as pl

from ...errors import UnusableInput
from .. import Tick
from .kinds import NUMBERS, Guess, Kind, present
from .source import Layout, NotThisEncoding, batches, look
from .summaries import Moments, Nothing, Numbers, Summary, Texts, Truths

#: Rows of the sample from which quantiles are read. Of so many, a quantile is off by half a percent of the rows.
SAMPLE = 10_000
#: Values of all columns together that a sample holds, and different texts that are counted at once.
SAMPLE_VALUES, ROOM = 2_000_000, 500_000
#: A table in which more rows than this part, and more than a few, are too long is none.
MOST_TOO_LONG, FEW = 0.1, 3


def analyse(path: Path, tick: Tick, *, delimiter: str | None = None, header: bool = True) -> dict[str, Any]:
    """Tell what is in a table. Raises UnusableInput."""
    layout = look(path, delimiter=delimiter, header=header)
    try:
        return _Analysis(path, layout, tick).run()
    except NotThisEncoding:
        # Every sequence of bytes is Windows-1252, so it is what is left.
        encoding = "cp1252" if layout.encoding == "utf-8" else ""
        if not encoding:
            raise UnusableInput(f"the file begins as {layout.encoding}, and then isn't") from None
    return _Analysis(path, look(path, delimiter=delimiter, header=header, encoding=encoding), tick).run()


class _Analysis:
    def __init__(self, path: Path, layout: Layout, tick: Tick) -> None:
        self._path, self._layout, self._tick = path, layout, tick
        self._size = path.stat().st_size
        self._rows = 0
        self._too_long = 0
        self._first_too_long: int | None = None

    def run(self) -> dict[str, Any]:
        guesses = self._guess()
        summaries = [_summary(guess, guesses) for guess in guesses]
        wanted = self._drawn(len(guesses))
        sample = self._count(guesses, summaries, wanted)
        columns = zip(self._layout.names, guesses, summaries, sample, strict=True)
        return {
            "rows": self._rows,
            "bytes": self._size,
            "encoding": "utf-8" if self._layout.encoding == "utf-8-sig" else self._layout.encoding,
            "delimiter": self._layout.delimiter,
            "rows_too_long": self._too_long,
            "first_row_too_long": self._first_too_long,
            "quantiles_are_approximate": len(wanted) < self._rows,
            "columns": [
                {"name": name, "type": str(guess.kind), "missing": guess.missing, **summary.told(values)}
                for name, guess, summary, values in columns
            ],
        }

    def _guess(self) -> list[Guess]:
        guesses = [Guess() for _ in self._layout.names]
        for batch in batches(self._path, self._layout):
            for guess, values in zip(guesses, batch.frame, strict=True):
                guess.see(values)
            self._rows += batch.frame.height
            self._too_long += batch.too_long
            self._first_too_long = self._first_too_long or batch.first_too_long
            self._tick(batch.done, 2 * self._size, f"types of {self._rows:,} rows")
        if self._too_long > max(FEW, MOST_TOO_LONG * self._rows):
            raise UnusableInput(
                f"not a table: {self._too_long:,} of {self._rows:,} rows have more values than the "
                f"{len(self._layout.names)} columns, the first in row {self._first_too_long:,}"
            )
        return guesses

    def _drawn(self, columns: int) -> list[int]:
        """Choose the rows of the sample: all, where there are few enough. The same file has always the same."""
        size = min(SAMPLE, max(1, SAMPLE_VALUES // columns))
        if self._rows <= size:
            return list(range(self._rows))
        return sorted(random.Random(0).sample(range(self._rows), size))  # noqa: S311 - nothing secret here

    def _count(self, guesses: list[Guess], summaries: list[Summary], wanted: list[int]) -> list[pl.Series]:
        """Let the summaries see every value; return the sample, column by column."""
        seen, drawn = 0, []
        for batch in batches(self._path, self._layout):
            frame = batch.frame
            for guess, summary, values in zip(guesses, summaries, frame, strict=True):
                found = values.drop_nulls() if guess.is_text else present(values)
                if len(found):
                    summary.add(found)
            first, last = bisect_left(wanted, seen), bisect_left(wanted, seen + frame.height)
            drawn.append(frame[[row - seen for row in wanted[first:last]]])
            seen += frame.height
            self._tick(self._size + batch.done, 2 * self._size, f"{seen:,} of {self._rows:,} rows")
        sample = pl.concat(drawn)
        return [
            present(values) if guess.kind in NUMBERS else values.head(0)
            for guess, values in zip(guesses, sample, strict=True)
        ]


def _summary(guess: Guess, guesses: list[Guess]) -> Summary:
    match guess.kind:
        case Kind.INT | Kind.FLOAT:
            return Numbers(guess.kind, guess.low, guess.high)
        case Kind.TEXT:
            texts = sum(other.is_text for other in guesses)
            return Texts(max(100, min(10_000, ROOM // texts)))
        case Kind.DATE | Kind.DATETIME:
            return Moments(guess.kind)
        case Kind.BOOL:
            return Truths()
    return Nothing()
