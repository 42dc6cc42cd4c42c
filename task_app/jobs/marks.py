"""Marks of published jobs, written a little later and together: one statement for many submits."""

import logging
import os
import threading
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import transitions
from .database import transaction

logger = logging.getLogger(__name__)

#: Seconds from the first mark to the write of all that have come since.
PAUSE = 0.02


class Marks:
    """What this process has published and not yet marked. Safe to use from several threads, and after a fork.

    A mark that is lost with its process costs a second message, `DISPATCH_GRACE` later, which finds nothing to claim.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], datetime] = {}
        self._pid = os.getpid()
        #: False where no other thread may use the database as it likes: in workers, whose main process forks.
        self.later = True

    def add(self, job_id: str, attempt: int, now: datetime) -> None:
        """Mark an attempt as published at `now`, soon."""
        if not self.later:
            with self._engine.connect() as connection:
                transitions.mark_published(connection, job_id, attempt, now)
            return
        if self._pid != os.getpid():  # the parent's lock may be held and its timer is not here
            self._lock, self._pending, self._pid = threading.Lock(), {}, os.getpid()
        with self._lock:
            self._pending[job_id, attempt] = now
            first = len(self._pending) == 1
        if first:
            # No daemon: the interpreter's end waits for it.
            threading.Timer(PAUSE, self.write).start()

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Say whether this (id, attempt) was published and is still to be marked."""
        return key in self._pending

    def write(self) -> None:
        """Write all marks there are now."""
        with self._lock:
            jobs = dict(self._pending)
        if not jobs:
            return
        try:
            with transaction(self._engine) as connection:
                # In the order of their ids, so that two processes never wait for each other.
                transitions.mark_many_published(connection, sorted(jobs), max(jobs.values()))
        except SQLAlchemyError as error:
            logger.info("%d published jobs are not marked, they will be sent again: %s", len(jobs), error)
        with self._lock:
            for key in jobs:
                self._pending.pop(key, None)
            more = bool(self._pending)
        if more:
            threading.Timer(PAUSE, self.write).start()
