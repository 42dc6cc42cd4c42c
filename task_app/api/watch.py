"""Waiting for a job to change, by looking at its version."""

import time
from collections.abc import Iterator

from ..jobs import queries, service
from ..jobs.runtime import runtime
from ..jobs.states import is_final
from ..jobs.view import JobView

SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 0.25


def pauses() -> Iterator[float]:
    """Yield how long to sleep between looks: short at first, because most jobs are."""
    pause = SHORTEST_PAUSE
    while True:
        yield pause
        pause = min(pause * 1.5, LONGEST_PAUSE)


def wait_for_end(job_id: str, seconds: float) -> JobView:
    """Return a job as soon as it has ended, at the latest after so many seconds. Raises JobNotFound.

    Without waiting this is one query. No connection is held while it sleeps.
    """
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
