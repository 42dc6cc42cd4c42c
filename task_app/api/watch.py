"""Waiting for a job to change, by looking at its version."""

import threading
import time
from collections.abc import Iterator

from flask import Flask, current_app

from ..jobs import queries, service
from ..jobs.runtime import runtime
from ..jobs.states import is_final
from ..jobs.view import JobView

SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 0.25


class Watchers:
    """How many may watch at once. Each keeps a thread of the web server busy, and the others must go on answering."""

    def __init__(self, limit: int) -> None:
        self._places = threading.BoundedSemaphore(limit) if limit else None

    def take(self) -> bool:
        """Take a place if there is one; give it back with `leave`."""
        return self._places is not None and self._places.acquire(blocking=False)

    def leave(self) -> None:
        """Give a place back."""
        if self._places is not None:
            self._places.release()


def init_app(app: Flask) -> None:
    """Count the places of this app."""
    app.extensions["watchers"] = Watchers(app.config["WATCH_LIMIT"])


def watchers() -> Watchers:
    """Return the current app's places."""
    found: Watchers = current_app.extensions["watchers"]
    return found


def pauses() -> Iterator[float]:
    """Yield how long to sleep between looks: short at first, because most jobs are."""
    pause = SHORTEST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)


def wait_for_end(job_id: str, seconds: float) -> JobView:
    """Return a job as soon as it has ended, at the latest after so many seconds. Raises JobNotFound.

    Without waiting this is one query. No connection is held while it sleeps. Where too many watch already, it answers
    at once: the client sees that the job has not ended, and asks again.
    """
    if seconds <= 0 or not watchers().take():
        return service.get(job_id)
    try:
        return _wait(job_id, seconds)
    finally:
        watchers().leave()


def _wait(job_id: str, seconds: float) -> JobView:
    deadline = time.monotonic() + seconds
    job = service.get(job_id)
    for pause in pauses():
        left = deadline - time.monotonic()
        if left <= 0 or is_final(job.state):
            break
        time.sleep(min(pause, left))
        if _version(job_id) != job.version:
            job = service.get(job_id)
    return job


def _version(job_id: str) -> int | None:
    with runtime().engine.connect() as connection:
        return queries.version_of(connection, job_id)
