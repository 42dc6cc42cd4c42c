"""What commands print: tables and progress for people, JSON for programs, plain text into pipes."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..jobs.view import JobView
from ..jobs.wording import duration

#: Into a pipe nothing is cut off or folded.
PIPE_WIDTH = 10_000
ID_LENGTH = 36


def console(*, err: bool = False) -> Console:
    """Return a console; made for each use, because tests and pipes exchange the streams."""
    found = Console(stderr=err, highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(stderr=err, highlight=False, soft_wrap=True, width=PIPE_WIDTH)


def print_json(value: Any) -> None:
    """Print JSON: indented for people, one line for programs."""
    indent = 2 if console().is_terminal else None
    click.echo(json.dumps(value, indent=indent, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for people; into a pipe, the rows alone, with tabs between the cells."""
    out = console()
    if not out.is_terminal:
        for row in rows:
            click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    Console(highlight=False).print(table_of(columns, rows))


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for people."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # Ids are copied: they are never cut off.
        table.add_column(column, no_wrap=True, min_width=ID_LENGTH if column == "id" else None)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    return table


def ago(moment: datetime | None) -> str:
    """Write how long ago something was, as people say it; "in …" for what is to come."""
    if moment is None:
        return "-"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"in {duration(-seconds)}" if seconds < 0 else f"{duration(seconds)} ago"


def size(amount: int | None) -> str:
    """Write an amount of memory."""
    return "-" if amount is None else f"{amount / 1024 / 1024:.0f} MiB"


def bytes_of(amount: int) -> str:
    """Write the size of a file."""
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if amount >= length:
            return f"{amount / length:.3g} {unit}"
    return f"{amount} B"


def took(job: JobView) -> str:
    """Write how long the last attempt ran, or has been running."""
    if job.started_at is None:
        return "-"
    return duration(((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds())
