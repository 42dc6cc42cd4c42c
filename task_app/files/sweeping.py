"""What nobody needs any more, in small steps that any number of processes may do at once.

A file is let go in one transaction, in which nobody can begin to use it; its bytes are removed after that, and its row
last. Whoever dies in between leaves a row that is GOING, which the next one finds.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping

from ..jobs.database import transaction
from ..jobs.file_uses import used_among
from ..jobs.runtime import runtime, utcnow
from . import rows
from .removing import remove
from .runtime import files_runtime
from .view import FileState

#: How long an upload may show no sign of life (`arriving.SIGN_OF_LIFE`) before it is given up.
ABANDONED_AFTER = timedelta(hours=1)
BEGINNING: rows.Place = (datetime(1970, 1, 1, tzinfo=UTC), "")


def sweep_unfinished(limit: int) -> int:
    """Remove up to so many files whose upload never ended, or whose removal did not. Raises FilesUnavailable."""
    before = utcnow() - ABANDONED_AFTER
    with runtime().engine.connect() as connection:
        found = rows.unfinished(connection, before, limit)
    return sum(
        _sweep(file_id, lambda row: row["state"] != FileState.HERE and _is_over(row, before)) for file_id in found
    )


def sweep_unused(limit: int, after: rows.Place = BEGINNING) -> tuple[int, rows.Place]:
    """Look at so many files, from a place on, oldest first; remove those that no job uses and whose time is over.

    Returns how many were removed, and where to go on: at the beginning, once all have been looked at. Most are used,
    and must not hide those behind. Raises FilesUnavailable.
    """
    with runtime().engine.connect() as connection:
        found = rows.walk(connection, after, limit)
        over = [row["id"] for row in found if _is_not_kept(row)]
        used = used_among(connection, over)
    removed = sum(_sweep(file_id, _is_not_kept) for file_id in over if file_id not in used)
    return removed, (found[-1]["created_at"], found[-1]["id"]) if len(found) == limit else BEGINNING


def _is_over(row: RowMapping, seen_before: datetime) -> bool:
    return row["state"] == FileState.GOING or bool(row["seen_at"] < seen_before)


def _is_not_kept(row: RowMapping) -> bool:
    """Say whether a file that no job uses may go: an artefact at once, an upload when its time is over."""
    days = files_runtime().retention_days
    is_old = days > 0 and row["created_at"] < utcnow() - timedelta(days=days)
    return row["made_by"] is not None or is_old


def _sweep(file_id: str, may_go: Callable[[RowMapping], bool]) -> bool:
    with transaction(runtime().engine) as connection:
        row = rows.lock(connection, file_id, wait=False)
        if row is None or not may_go(row) or (row["state"] == FileState.HERE and rows.has_use(connection, file_id)):
            return False
        rows.let_go(connection, file_id)
    return remove(file_id)
