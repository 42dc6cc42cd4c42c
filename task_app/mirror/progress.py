"""`report_progress` and `raise_if_cancelled`: call them as often as you like, the database is asked now and then."""

import threading
import time
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from celery import current_task
from flask import Flask

from ..errors import JobCancelled, SessionHoldsLock
from ..jobs import queries, transitions
from ..jobs.on_commit import refuse_if_session_writes
from ..jobs.runtime import JobRuntime
from ..jobs.states import State
from . import codec
from .patience import insist, is_outage
from .request import attempt_of, claim_of

#: Progress is for people to read; it isn't a place to keep data.
PROGRESS_LIMIT = 64_000  # bytes of JSON


def report_progress(current: float, total: float | None = None, message: str | None = None) -> None:
    """Say how far the running task is; callable as often as you like.

    At most one write per `PROGRESS_INTERVAL` seconds reaches the database; the last value always does, at the latest at
    the end of that interval. Raises JobCancelled when somebody has asked to cancel the job. Outside a job it does
    nothing.
    """
    reporter = _reporter()
    if reporter is not None:
        reporter.report({"current": current, "total": total, "message": message})


def raise_if_cancelled() -> None:
    """Raise JobCancelled when somebody has asked to cancel the running job, or has given this attempt up.

    Looks at the table at most once per `PROGRESS_INTERVAL` seconds. Outside a job it does nothing.
    """
    reporter = _reporter()
    if reporter is not None:
        reporter.look()


def _reporter() -> "Reporter | None":
    request = current_task.request if current_task else None
    found: Reporter | None = getattr(request, "reporter", None)
    return found


class Reporter:
    """The progress of one attempt: what was reported last, and when it was written."""

    def __init__(self, job_id: str, attempt: int, claimed_at: datetime | None, app: Flask) -> None:
        runtime: JobRuntime = app.extensions["jobs"]
        self._engine = runtime.engine
        self._interval: float = app.config["PROGRESS_INTERVAL"]
        self._job_id = job_id
        self._attempt = attempt
        self._claimed_at = claimed_at
        self._lock = threading.Lock()
        #: Held while a value is on its way to the table, so that an older one can't come after a newer.
        self._storing = threading.Lock()
        self._reports = 0
        self._pending: dict[str, Any] | None = None
        self._timer: threading.Timer | None = None
        self._written_at = -float("inf")
        self._looked_at = -float("inf")
        self._cancelled = False

    @classmethod
    def for_request(cls, request: Any, app: Flask) -> Self:
        """Make the reporter of a running request and leave it there for `report_progress`."""
        reporter = cls(request.id, attempt_of(request), claim_of(request), app)
        request.reporter = reporter
        return reporter

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is still pending, and wait for what is on its way: the outcome must not hide a report."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._write()
        with suppress(SessionHoldsLock):
            refuse_if_session_writes()  # else the other thread would wait for this one
            with self._storing:
                pass

    def report(self, meta: dict[str, Any]) -> None:
        """Take a report; write it now if the last write is old enough, else when it will be."""
        with self._lock:
            if not self._cancelled:
                self._pending, self._reports = meta, self._reports + 1
                wait = self._written_at + self._interval - time.monotonic()
                if wait <= 0:
                    self._write()
                elif self._timer is None:
                    self._write_in(wait)
        self._raise_if_cancelled()

    def look(self) -> None:
        """Ask the table whether the attempt may go on, unless a look or a write has just told."""
        with self._lock:
            now = time.monotonic()
            if not self._cancelled and now - max(self._looked_at, self._written_at) >= self._interval:
                self._looked_at = now
                with suppress(SessionHoldsLock):
                    self._cancelled = not insist(self._may_go_on, f"a look at {self._job_id}")
        self._raise_if_cancelled()

    def _raise_if_cancelled(self) -> None:
        if self._cancelled:
            raise JobCancelled(f"job {self._job_id} was cancelled")

    def _may_go_on(self) -> bool:
        with self._engine.connect() as connection:
            found = queries.row(connection, self._job_id, "attempt", "started_at", "cancel_requested_at", "finished_at")
        return (
            found is not None
            and found["attempt"] == self._attempt
            and self._claimed_at in (None, found["started_at"])
            and found["cancel_requested_at"] is None
            and found["finished_at"] is None
        )

    def _write_in(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._write_late)
        self._timer.daemon = True
        self._timer.start()

    def _write_late(self) -> None:
        """Write from the timer's thread, without the first lock: the task may hold what this waits for (SQLite)."""
        with self._lock:
            self._timer = None
            if self._pending is None:
                return
            if not self._storing.acquire(blocking=False):
                self._write_in(self._interval)  # the last one is still on its way
                return
            pending, self._pending, reports = self._pending, None, self._reports
        away = False
        try:
            self._cancelled = not self._store(_text(pending))
            self._written_at = time.monotonic()
        except Exception as error:
            if not is_outage(error):
                raise
            away = True
        finally:
            self._storing.release()
        if away:
            self._put_back(pending, reports)

    def _put_back(self, meta: dict[str, Any], reports: int) -> None:
        with self._lock:
            if self._reports == reports:  # else the task has reported again meanwhile
                self._pending = meta

    def _write(self) -> None:
        """Write from the task's thread. While the task's own session keeps SQLite from it, the report waits."""
        if self._pending is None:
            return
        meta = _text(self._pending)
        with suppress(SessionHoldsLock):
            refuse_if_session_writes()
            with self._storing:
                self._cancelled = not insist(lambda: self._store(meta), f"the progress of {self._job_id}")
            self._pending = None
            self._written_at = time.monotonic()

    def _store(self, meta: str) -> bool:
        with self._engine.connect() as connection:
            return transitions.report(
                connection,
                self._job_id,
                self._attempt,
                state=State.PROGRESS,
                meta=meta,
                claimed_at=self._claimed_at,
            )


def _text(meta: dict[str, Any]) -> str:
    return codec.dumps(meta, "the progress", PROGRESS_LIMIT)
