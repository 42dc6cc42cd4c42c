"""Waiting for a job to end."""

import time

from ..errors import JobNotFound
from ..jobs import service
from ..jobs.runtime import runtime
from ..jobs.states import is_final
from ..jobs.view import JobView
from ..web.watchers import watchers


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
