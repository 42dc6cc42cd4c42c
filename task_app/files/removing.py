"""Removing a file that nobody can find any more: its bytes first, its row last."""

import logging

from ..errors import FilesUnavailable
from ..jobs.runtime import runtime
from . import rows
from .runtime import files_runtime

logger = logging.getLogger(__name__)


def remove(file_id: str) -> bool:
    """Remove the bytes and the row of a file that is GOING. False while the store is away: the sweeper comes again."""
    try:
        files_runtime().store.remove(file_id)
    except FilesUnavailable as error:
        logger.warning("file %s stays for now: %s", file_id, error)
        return False
    with runtime().engine.connect() as connection:
        return rows.forget(connection, file_id)
