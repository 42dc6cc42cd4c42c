"""Writes that must not be lost wait for the database.

A claim that gave up would fail the job; an outcome that gave up would be a lie. Both keep trying while the worker
lives; if it dies trying, the job is rescued.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import exc

from ..jobs.on_commit import refuse_if_session_writes

logger = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE = 0.05  # seconds
LONGEST_PAUSE = 5.0


def is_outage(error: BaseException) -> bool:
    """Say whether the database is away or busy, as opposed to having refused the statement."""
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, exc.OperationalError | exc.InterfaceError | exc.TimeoutError)


def insist(write: Callable[[], T], what: str) -> T:
    """Call `write` until the database takes it. It must be safe to repeat: a guarded move is.

    Raises SessionHoldsLock where it would wait for its own caller.
    """
    refuse_if_session_writes()
    pause = FIRST_PAUSE
    while True:
        try:
            return write()
        except Exception as error:
            if not is_outage(error):
                raise
            logger.warning("%s waits for the database: %s", what, str(error).splitlines()[0])
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads workers, hides nothing
            pause = min(LONGEST_PAUSE, pause * 2)
