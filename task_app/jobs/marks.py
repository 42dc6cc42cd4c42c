"""Marks of published jobs, written a little later and together: one statement for many submits."""

import logging
import os
import threading
import time
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import transitions

logger = logging.getLogger(__name__)

#: Seconds from the first mark to the write of all that have come since. Well below `DISPATCH_GRACE`.
PAUSE = 0.05
#: Seconds without a mark until the thread ends that writes them.
LINGER = 1.0


class Marks:
    """What this process has published and not yet marked. Safe to use from several threads, and after a fork.

    A mark that is lost with its process costs a second message, `DISPATCH_GRACE` later, which finds nothing to claim.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._later = True
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], datetime] = {}
        self._writer: threading.Thread | None = None
        self._pid = os.getpid()  # last: another thread that sees it takes the lock

    def at_once(self) -> None:
        """From now on write each mark when it comes: in workers, whose main process forks, no thread may do it."""
        self._later = False
        writer = self._writer
        if writer is not None:
            writer.join()

    def add(self, job_id: str, attempt: int, now: datetime) -> None:
        """Mark an attempt as published at `now`, soon. Never raises: the job is accepted and sent already."""
        if self._pid != os.getpid():  # the parent's lock may be held, and its thread is not here
            self._begin()
        with self._lock:
            self._pending[job_id, attempt] = now
            later = self._later and (self._has_writer() or self._start())
        if not later:
            self.write()

    def __contains__(self, key: tuple[str, int]) -> bool:
        """Say whether this (id, attempt) was published and is still to be marked."""
        return key in self._pending

    def _has_writer(self) -> bool:
        return self._writer is not None and self._writer.is_alive()

    def _start(self) -> bool:
        writer = threading.Thread(target=self._run, name="marks")  # no daemon: the interpreter's end waits for it
        try:
            writer.start()
        except RuntimeError:  # no thread to be had: too many, or the interpreter is ending
            return False
        self._writer = writer
        return True

    def _run(self) -> None:
        busy_at = time.monotonic()
        while True:
            time.sleep(PAUSE)
            if self._pending:
                self.write()
                busy_at = time.monotonic()
            elif self._may_end(busy_at + LINGER):
                return

    def _may_end(self, lingers_until: float) -> bool:
        if self._later and threading.main_thread().is_alive() and time.monotonic() < lingers_until:
            return False
        with self._lock:
            if self._pending:
                return False
            self._writer = None  # who comes from now on starts another
            return True

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
        except Exception:
            # Whatever it is: the thread must go on, and who submits must not suffer.
            logger.exception("%d published jobs are not marked, they will be sent again", len(jobs))
        finally:
            with self._lock:
                for key in jobs:
                    self._pending.pop(key, None)
