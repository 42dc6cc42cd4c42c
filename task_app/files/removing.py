"""Removing a file that nobody can find any more: its bytes first, its row last."""

import logging

from sqlalchemy.exc import SQLAlchemyError

from ..errors import FilesUnavailable
from ..jobs.runtime import runtime
from . import rows
from .runtime import files_runtime

logger = logging.getLogger(__name__)


def remove(file_id: str) -> bool:
    """Remove the bytes and the row of a file that is GOING. False when somebody else did. Raises FilesUnavailable."""
    files_runtime().store.remove(file_id)
    with runtime().engine.connect() as connection:
        return rows.forget(connection, file_id)


def remove_or_leave(file_id: str) -> None:
    """Remove a file that is GOING; what can't be removed now is left to the sweeper."""
    try:
        remove(file_id)
    except (FilesUnavailable, SQLAlchemyError) as error:
        logger.warning("file %s is left to the sweeper: %s", file_id, error)


def give_up(file_id: str) -> None:
    """Remove a file that nobody could find yet; not one that a job has got after all, by a commit without an answer."""
    try:
        with runtime().engine.connect() as connection:
            if rows.has_use(connection, file_id):
                return
            rows.let_go(connection, file_id)
    except SQLAlchemyError as error:
        logger.warning("file %s is left to the sweeper: %s", file_id, error)
    else:
        remove_or_leave(file_id)
