"""Telling others of an outcome that Celery has not written."""

import logging

from .runtime import runtime

logger = logging.getLogger(__name__)


def tell_who_waits(job_id: str) -> None:
    """Let chords, chains and errbacks learn of it."""
    tell = runtime().after_end
    if tell is not None:
        try:
            tell(job_id)
        except Exception:
            # The outcome stands; what hangs on it must not undo the answer to who asked for it.
            logger.exception("the end of job %s could not be passed on", job_id)
