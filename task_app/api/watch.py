"""Waiting for a job to end, and how many may wait at once."""

import threading
import time

from flask import Flask, current_app

from ..errors import JobNotFound
from ..jobs import service
from ..jobs.runtime import runtime
from ..jobs.states import is_final
from ..jobs.view import JobView


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
    while not is_final(job.state) and (left := deadline - time.monotonic()) > 0:
        changed = runtime().feed.change_of(job, left)
        if changed is None:
            raise JobNotFound(job_id)
        job = changed
    return job
