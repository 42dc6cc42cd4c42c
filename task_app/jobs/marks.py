"""Marks of published jobs, written a little later and together: one statement for many submits."""

import logging
import os
import threading
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import transitions

logger = logging.getLogger(__name__)

#: Seconds from the first mark to the write of all that have come since.
PAUSE = 0.02


class Marks:
    """What this process has published and not yet marked. Safe to use from several threads, and after a fork.

    A mark that is lost with its process costs a second message, `DISPATCH_GRACE` later, which finds nothing to claim.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._later = True
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], datetime] = {}
        self._timer: threading.Timer | None = None

    def at_once(self) -> None:
        """From now on write each mark when it comes: in workers, whose main process forks, no thread may do it."""
        self._later = False
        timer = self._timer
        if timer is not None:
            timer.join()

    def add(self, job_id: str, attempt: int, now: datetime) -> None:
        """Mark an attempt as published at `now`, soon. Never raises: the job is accepted and sent already."""
        if self._pid != os.getpid():  # the parent's lock may be held, and its timer is not here
            self._begin()
        with self._lock:
            self._pending[job_id, attempt] = now
            if self._later and self._timer is not None:
                return
            if self._later:
                # No daemon: the interpreter's end waits for it.
                self._timer = threading.Timer(PAUSE, self._on_time)
                try:
                    self._timer.start()
                except RuntimeError:  # no thread to be had: too many, or the interpreter is ending
                    self._timer = None
                else:
                    return
        self.write()

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Say whether this (id, attempt) was published and is still to be marked."""
        return key in self._pending

    def _on_time(self) -> None:
        with self._lock:
            self._timer = None  # who comes from now on has a timer of its own
        self.write()

    def write(self) -> None:
        """Write all marks there are now."""
        with self._lock:
            jobs = dict(self._pending)
        if not jobs:
            return
        try:
            with self._engine.connect() as connection:
                transitions.mark_published(connection, sorted(jobs), max(jobs.values()))
        except SQLAlchemyError as error:
            logger.info("%d published jobs are not marked, they will be sent again: %s", len(jobs), error)
        finally:
            with self._lock:
                for key in jobs:
                    self._pending.pop(key, None)
