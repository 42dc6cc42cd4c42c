"""Messages that nobody understands: the job they name fails with the reason; all of them are counted."""

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery
from flask import Flask

from ..jobs import transitions, workers
from ..jobs.runtime import JobRuntime, utcnow
from ..jobs.states import State
from . import adopt, identity
from .patience import insist

logger = logging.getLogger(__name__)


def fail(celery: Celery, headers: Mapping[str, Any], error: Exception) -> None:
    """Count the message, and end the job it names, if that waits for this very message.

    Another attempt, or one that runs already, is none of its business: it may be a duplicate, or this worker may be
    older than the task. What names no job of ours is only logged: it may be anything.
    """
    app: Flask = celery.flask_app
    runtime: JobRuntime = app.extensions["jobs"]
    job_id, attempt = headers.get("id"), headers.get("job_attempt") or 1
    fault = celery.backend.fault_of(error)

    def end() -> bool:
        with runtime.engine.connect() as connection:
            return (
                adopt.is_possible_id(job_id)
                and isinstance(attempt, int)
                and transitions.end_waiting(
                    connection, str(job_id), attempt, state=State.FAILURE, error=fault, now=utcnow()
                )
            )

    def count() -> None:
        with runtime.engine.connect() as connection:
            workers.count(connection, identity.worker_id(), "junk")

    insist(count, "the count of junk")
    if insist(end, f"the junk message for {job_id}"):
        celery.backend.pass_on(str(job_id))
    else:
        logger.error("a message that ends no job of ours is dropped: %s", error)
