"""Ends running jobs that somebody asked to cancel."""

import logging
from datetime import timedelta
from typing import Any

from celery.platforms import signals
from celery.worker import state
from flask import Flask

from ..jobs import queries
from ..jobs.runtime import runtime, utcnow

logger = logging.getLogger(__name__)


class Canceller:
    """Terminates jobs of this worker whose cancel was asked for more than `CANCEL_GRACE` seconds ago.

    Until then a task can end by itself: `report_progress` and `raise_if_cancelled` raise in it. One that shuts its ears
    to the first signal is killed after the grace once more. Pools other than prefork can't terminate a task; there the
    job ends when the task next reports or returns.
    """

    name = "canceller"

    def __init__(self, app: Flask, worker_id: str, worker: Any) -> None:
        self.pause: float = app.config["DISPATCH_INTERVAL"]
        self._grace = timedelta(seconds=app.config["CANCEL_GRACE"])
        self._id = worker_id
        self._worker = worker
        self._asked_politely: set[str] = set()

    def run(self) -> int:
        """Terminate what is to be cancelled; costs a query only while jobs run."""
        if not state.active_requests:
            return 0
        with runtime().engine.connect() as connection:
            asked = queries.cancel_requests(connection, self._id)
        late = [(job_id, utcnow() - asked_at) for job_id, asked_at in asked if utcnow() - asked_at >= self._grace]
        # Once: a task that tidies up after the first signal must not be disturbed by a second.
        polite = {job_id for job_id, waited in late if waited < 2 * self._grace}
        blows = [(job_id, "TERM") for job_id in sorted(polite - self._asked_politely)]
        blows += [(job_id, "KILL") for job_id, _ in late if job_id not in polite]
        self._asked_politely = polite
        for job_id, signal in blows:
            # In the worker's own loop: there, no pool process can go on to its next job between the look and the blow.
            self._worker.consumer.call_soon(self._terminate, job_id, signal)
        return len(blows)

    def _terminate(self, job_id: str, signal: str) -> None:
        request = state.requests.get(job_id)
        if request is None or request not in state.active_requests or request.worker_pid is None:
            return  # it has ended meanwhile
        try:
            # Not `Request.terminate`: that one says REVOKED before the process has ended, if it ends at all.
            self._worker.pool.terminate_job(request.worker_pid, signals.signum(signal))
            logger.info("sent SIG%s to the process of job %s: it was cancelled", signal, job_id)
        except NotImplementedError:
            logger.debug("the %s pool can't terminate job %s", type(self._worker.pool).__name__, job_id)
