"""Ends running jobs that somebody asked to cancel."""

import logging
from datetime import timedelta
from typing import Any

from celery.worker import state
from flask import Flask

from ..jobs import queries
from ..jobs.runtime import runtime, utcnow

logger = logging.getLogger(__name__)


class Canceller:
    """Terminates jobs of this worker whose cancel was asked for more than `CANCEL_GRACE` seconds ago.

    Until then a task can end by itself: `report_progress` raises in it. Pools other than prefork can't terminate a
    task; there the job ends when the task next reports or returns.
    """

    name = "canceller"

    def __init__(self, app: Flask, worker_id: str, worker: Any) -> None:
        self.interval: float = app.config["DISPATCH_INTERVAL"]
        self._grace = timedelta(seconds=app.config["CANCEL_GRACE"])
        self._id = worker_id
        self._worker = worker

    def run(self) -> None:
        """Terminate what is to be cancelled; costs a query only while jobs run."""
        if not state.active_requests:
            return
        with runtime().engine.connect() as connection:
            asked = queries.cancel_requests(connection, self._id)
        for job_id, asked_at in asked:
            request = state.requests.get(job_id)
            if request is not None and utcnow() - asked_at >= self._grace:
                self._terminate(request)

    def _terminate(self, request: Any) -> None:
        try:
            request.terminate(self._worker.pool, signal="TERM")
            logger.info("terminated job %s: it was cancelled", request.id)
        except NotImplementedError:
            logger.debug("the %s pool can't terminate job %s", type(self._worker.pool).__name__, request.id)
