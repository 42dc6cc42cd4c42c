"""A table in a file of delimited text (CSV), read a few MiB at a time.

Files that people have are seldom what RFC 4180 says. What is understood here: UTF-8 with and without a mark, UTF-16
with one, else Windows-1252 (Latin-1 and a little more); comma, semicolon, tab or bar; all line ends; quoted values over
several lines; quotes that stand in the middle of a value.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ...errors import UnusableInput

#: Bytes read at once. With the copies that parsing makes, some ten times as much memory is needed.
BLOCK = 4 * 1024 * 1024
#: No row is longer, in bytes.
MOST_OF_A_ROW = 1024 * 1024
#: No table is wider.
MOST_COLUMNS = 2_000
#: Characters of a column's name that are kept.
NAME_LENGTH = 100
DELIMITERS = ",;\t|"
#: Rows that are looked at to find out how the file is written.
LOOKED_AT = 50

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
#: How files of other kinds begin.
OTHERS = {
    b"PK\x03\x04": "a zip file or a workbook (.xlsx)",
    b"\x1f\x8b": "compressed (gzip)",
    b"%PDF": "a PDF",
    b"PAR1": "Parquet",
    b"\x89PNG": "an image",
    b"\xd0\xcf\x11\xe0": "an old workbook (.xls)",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is written."""

    encoding: str
    delimiter: str
    names: list[str]
    has_header: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, all values as text; `done` is how many bytes of the file have been read."""

    frame: pl.DataFrame  # columns c0, c1, …
    done: int
    too_long: int  # rows with more values than there are columns
    first_too_long: int | None  # the number of such a row among all rows, from 1


class NotThisEncoding(Exception):
    """The file is written in another encoding than its beginning made believe."""


def look(path: Path, *, delimiter: str | None = None, header: bool = True, encoding: str | None = None) -> Layout:
    """Find out how a table is written, from its first MiB. Raises UnusableInput."""
    with path.open("rb") as file:
        beginning = file.read(MOST_OF_A_ROW)
    _refuse_others(beginning)
    encoding = encoding or _encoding_of(beginning)
    text = _universal(codecs.getincrementaldecoder(encoding)("replace").decode(beginning)).lstrip("\n")
    _refuse_nul(text, encoding)
    if not text.strip():
        raise UnusableInput("the file is empty")
    if len(beginning) == MOST_OF_A_ROW:
        text = text[: text.rfind("\n") + 1]  # without the row that is cut off
        if not text:
            raise UnusableInput(f"the first row is longer than {MOST_OF_A_ROW:,} bytes")
    delimiter = delimiter or _delimiter_of(text)
    rows = _first_rows(text, delimiter)
    if not rows:
        raise UnusableInput("the file has no rows, only delimiters")
    width = len(rows[0]) if header else Counter(map(len, rows)).most_common(1)[0][0]
    if width > MOST_COLUMNS:
        raise UnusableInput(f"the table has {width:,} columns; {MOST_COLUMNS:,} are the most")
    return Layout(encoding, delimiter, _names(rows[0] if header else [""] * width), header)


def batches(path: Path, layout: Layout) -> Iterator[Batch]:
    """Read the rows of a table, but for its header and what is above it.

    A line with nothing in it is a row only where there is a single column, and not at the end of the file. Raises
    UnusableInput, and NotThisEncoding where the file isn't UTF-8 after all.
    """
    header_is_ahead, rows, size = layout.has_header, 0, path.stat().st_size
    for text, done in _blocks(path, layout.encoding):
        frame, overflow = _parse(_without_blank_lines(text, layout, is_last=done == size), layout)
        if header_is_ahead:
            above = _empty_at_first(frame)
            header_is_ahead = above == frame.height
            frame, overflow = frame.slice(above + 1), overflow.slice(above + 1)
        too_long = overflow.arg_true()
        first = rows + int(too_long[0]) + 1 if len(too_long) else None
        rows += frame.height
        yield Batch(frame, done, len(too_long), first)


# -- how it is written -------------------------------------------------------------------------------------------


def _refuse_others(beginning: bytes) -> None:
    for mark, what in OTHERS.items():
        if beginning.startswith(mark):
            raise UnusableInput(f"the file is {what}, not a table of delimited text (CSV)")
    if beginning[:200].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnusableInput("the file is HTML or XML, not a table of delimited text (CSV)")


def _refuse_nul(text: str, encoding: str) -> None:
    if "\0" in text:
        raise UnusableInput(f"the file has a NUL character: it is not text, or not {encoding}")


def _encoding_of(beginning: bytes) -> str:
    return next((encoding for mark, encoding in MARKS if beginning.startswith(mark)), "utf-8")


def _universal(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimiter_of(text: str) -> str:
    """Return the delimiter with which most rows have as many values as the first, and more than one."""

    def fit(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in _first_rows(text, delimiter)]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(DELIMITERS, key=fit)  # the first of equals: the comma


def _first_rows(text: str, delimiter: str) -> list[list[str]]:
    rows = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if any(value.strip() for value in row):
                rows.append(row)
            if len(rows) == LOOKED_AT:
                break
    except csv.Error:  # a value that is too long for the reader; a batch says where
        pass
    return rows


def _names(row: list[str]) -> list[str]:
    """Name the columns: each has a name, and no two have the same."""
    names: list[str] = []
    taken: Counter[str] = Counter()
    for number, value in enumerate(row, 1):
        name = "".join(c if c.isprintable() else " " for c in value).strip()[:NAME_LENGTH] or f"column_{number}"
        wanted = name
        while name in taken:
            taken[wanted] += 1
            name = f"{wanted}_{taken[wanted]}"
        taken[name] += 1
        names.append(name)
    return names


# -- from bytes to rows ------------------------------------------------------------------------------------------


def _blocks(path: Path, encoding: str) -> Iterator[tuple[str, int]]:
    """Read whole rows, some MiB at once, with how many bytes of the file have been read."""
    decoder = codecs.getincrementaldecoder(encoding)("replace" if encoding == "cp1252" else "strict")
    rest, done = "", 0
    with path.open("rb") as file:
        ahead = file.read(BLOCK)
        while ahead or rest:
            raw, ahead = ahead, file.read(BLOCK)
            done += len(raw)
            try:
                text = rest + decoder.decode(raw, final=not ahead)
            except UnicodeDecodeError as error:
                raise NotThisEncoding(encoding) from error
            _refuse_nul(text, encoding)
            # A line end of two characters must not be taken for two where a block ends between them.
            held_back = "\r" if ahead and text.endswith("\r") else ""
            text = _universal(text.removesuffix(held_back))
            cut = _cut(text) if ahead else len(text)
            if cut:
                yield text[:cut], done
            rest = text[cut:] + held_back


def _cut(text: str) -> int:
    """Return where the last whole row ends: at a line end with an even number of quotes before it.

    Where a quote stands in the middle of a value the count misleads. Then any line end must do, and of the rows of a
    block one may be cut in two.
    """
    inside = text.count('"') % 2 == 1
    end, before = len(text), text.rfind("\n")
    last = before + 1
    while before >= 0:
        inside ^= text.count('"', before, end) % 2 == 1
        if not inside:
            if len(text) - before - 1 <= MOST_OF_A_ROW:
                return before + 1
            break
        end, before = before, text.rfind("\n", 0, before)
    if len(text) - last > MOST_OF_A_ROW:
        raise UnusableInput(f"a row is longer than {MOST_OF_A_ROW:,} characters")
    return last if len(text) > MOST_OF_A_ROW else 0


def _without_blank_lines(text: str, layout: Layout, *, is_last: bool) -> str:
    if len(layout.names) == 1:
        return text[:-1] if is_last and (text == "\n" or text.endswith("\n\n")) else text
    spaces = "[ ]*" if layout.delimiter == "\t" else r"[ \t]*"
    blank = re.compile(rf"(?<=\n)(?:{spaces}\n)+")
    text = re.sub(rf"\A(?:{spaces}\n)+", "", text)
    if not blank.search(text):
        return text
    parts = text.split('"')
    parts[::2] = [blank.sub("", part) for part in parts[::2]]  # the others are in quotes, where lines may be blank
    return '"'.join(parts)


def _empty_at_first(frame: pl.DataFrame) -> int:
    """Return how many rows there are before the first in which there is something."""
    full = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return int(full[0]) if len(full) else frame.height


def _parse(text: str, layout: Layout) -> tuple[pl.DataFrame, pl.Series]:
    """Parse whole rows; also say of each whether it has more values than there are columns."""
    width = len(layout.names)
    try:
        frame = _parse_fast(text, layout.delimiter, width)
    except pl.exceptions.PolarsError:  # quotes in the middle of values, mostly
        frame = _parse_patiently(text, layout.delimiter, width)
    frame = frame.with_columns(pl.all().str.strip_chars().replace("", None))
    return frame.drop("over"), frame["over"].is_not_null()


def _excerpt(row: list[str]) -> str:
    return repr(next(value for value in row if "\n" in value)[:40])


def _columns(width: int) -> list[str]:
    return [*(f"c{number}" for number in range(width)), "over"]


def _parse_fast(text: str, delimiter: str, width: int) -> pl.DataFrame:
    # The row before the first makes polars know of one column more than the table has: what is too long falls in it.
    first = delimiter * width + "\n"
    frame = pl.read_csv(
        (first + text).encode(),
        has_header=False,
        schema=dict.fromkeys(_columns(width), pl.String),
        separator=delimiter,
        truncate_ragged_lines=True,
        infer_schema=False,
    )
    return frame.slice(1)


def _parse_patiently(text: str, delimiter: str, width: int) -> pl.DataFrame:
    names = _columns(width)
    columns: list[list[str | None]] = [[] for _ in names]
    row: list[str] = []
    csv.field_size_limit(max(csv.field_size_limit(), MOST_OF_A_ROW))
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            values = [*row[: width + 1], *[None] * (width + 1 - len(row))]
            for column, value in zip(columns, values, strict=True):
                column.append(value)
    except csv.Error:
        raise UnusableInput(f"a quoted value does not end within {MOST_OF_A_ROW:,} characters") from None
    if text.count('"') % 2 and any("\n" in value for value in row):
        raise UnusableInput(f"a quoted value does not end; it begins with {_excerpt(row)}")
    return pl.DataFrame(dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.String))
