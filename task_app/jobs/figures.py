"""What doors may ask about what has happened: charts and tables. Functions need an app context; see `rollups`."""

from collections.abc import Sequence
from datetime import datetime

from . import rollups
from .rollups import POINTS, Counts, Figures, Kind, Percentiles, Point, Series
from .runtime import runtime

__all__ = [
    "POINTS",
    "Counts",
    "Figures",
    "Kind",
    "Percentiles",
    "Point",
    "Series",
    "by_name",
    "names",
    "series",
    "sparklines",
]


def series(
    kind: Kind | str = Kind.ALL, name: str = "", *, start: datetime, end: datetime, points: int = POINTS
) -> Series:
    """Return what happened to all jobs, or to those of a task or queue, step by step, and in all."""
    with runtime().engine.connect() as connection:
        return rollups.series(connection, kind, name, start=start, end=end, points=points)


def by_name(kind: Kind | str, *, start: datetime, end: datetime, limit: int | None = None) -> dict[str, Figures]:
    """Return what happened in a window, by task or queue, those with the most jobs first; of all, or of so many."""
    with runtime().engine.connect() as connection:
        return rollups.by_name(connection, kind, start=start, end=end, limit=limit)


def names(kind: Kind | str, *, start: datetime, end: datetime) -> list[str]:
    """Return the tasks or queues of which something was seen in a window."""
    with runtime().engine.connect() as connection:
        return rollups.names(connection, kind, start=start, end=end)


def sparklines(
    kind: Kind | str, names: Sequence[str], *, start: datetime, end: datetime, points: int = 30
) -> dict[str, list[Counts | None]]:
    """Return how many jobs ended, step by step, for many tasks or queues at once; None: nobody looked."""
    with runtime().engine.connect() as connection:
        return rollups.sparklines(connection, kind, names, start=start, end=end, points=points)
