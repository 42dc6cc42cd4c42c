"""What the tasks of the extra `gallery` do, apart from being tasks: functions of files and rows, to copy and to test.

They know neither Celery nor HTTP. What takes long gets a `Tick`, which says how far it is and raises where somebody
has cancelled; the tasks pass `report_progress`. Modules here import libraries that take seconds and a hundred MB, so
the tasks import them when they run. That is not only thrift: polars starts threads, and a process that has them must
not be forked.
"""

from typing import Protocol


class Tick(Protocol):
    """Says how far the work is, and may raise to end it."""

    def __call__(self, current: float, total: float | None = None, message: str | None = None) -> None:
        """Take a report; see `report_progress`."""
