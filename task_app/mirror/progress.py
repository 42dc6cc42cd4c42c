"""`report_progress`: one call, coalesced, and the last value is always kept."""

import threading
import time
from types import TracebackType
from typing import Any, Self

from celery import current_task
from flask import Flask

from ..errors import JobCancelled
from ..jobs import transitions
from ..jobs.runtime import JobRuntime
from ..jobs.states import State
from . import codec
from .patience import insist
from .request import attempt_of

#: Progress is for people to read; it isn't a place to keep data.
PROGRESS_LIMIT = 64_000  # bytes of JSON


def report_progress(current: float, total: float | None = None, message: str | None = None) -> None:
    """Say how far the running task is; callable as often as you like.

    At most one write per `PROGRESS_INTERVAL` seconds reaches the database; the last value always does, at the latest at
    the end of that interval. Raises JobCancelled when somebody has asked to cancel the job. Outside a job it does
    nothing.
    """
    request = current_task.request if current_task else None
    reporter: Reporter | None = getattr(request, "reporter", None)
    if reporter is not None:
        reporter.report({"current": current, "total": total, "message": message})


class Reporter:
    """The progress of one attempt: what was reported last, and when it was written."""

    def __init__(self, job_id: str, attempt: int, app: Flask) -> None:
        runtime: JobRuntime = app.extensions["jobs"]
        self._engine = runtime.engine
        self._interval: float = app.config["PROGRESS_INTERVAL"]
        self._job_id = job_id
        self._attempt = attempt
        self._lock = threading.Lock()
        self._pending: dict[str, Any] | None = None
        self._timer: threading.Timer | None = None
        self._written_at = -float("inf")
        self._cancelled = False

    @classmethod
    def for_request(cls, request: Any, app: Flask) -> Self:
        """Make the reporter of a running request and leave it there for `report_progress`."""
        reporter = cls(request.id, attempt_of(request), app)
        request.reporter = reporter
        return reporter

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is still pending, so that the outcome never hides a report."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._write()

    def report(self, meta: dict[str, Any]) -> None:
        """Take a report; write it now if the last write is old enough, else when it will be."""
        with self._lock:
            if not self._cancelled:
                self._pending = meta
                wait = self._written_at + self._interval - time.monotonic()
                if wait <= 0:
                    self._write()
                elif self._timer is None:
                    self._timer = threading.Timer(wait, self._write_late)
                    self._timer.daemon = True
                    self._timer.start()
            if self._cancelled:
                raise JobCancelled(f"job {self._job_id} was cancelled")

    def _write_late(self) -> None:
        with self._lock:
            self._timer = None
            self._write()

    def _write(self) -> None:
        if self._pending is None:
            return
        meta = codec.dumps(self._pending, "the progress", PROGRESS_LIMIT)
        self._pending = None
        self._cancelled = not insist(lambda: self._store(meta), f"the progress of {self._job_id}")
        self._written_at = time.monotonic()

    def _store(self, meta: str) -> bool:
        with self._engine.connect() as connection:
            return transitions.report(connection, self._job_id, self._attempt, state=State.PROGRESS, meta=meta)
