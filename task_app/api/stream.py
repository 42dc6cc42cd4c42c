"""Server-sent events of one job."""

import json
import logging
import time
from collections.abc import Generator, Iterator

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ..jobs import queries
from ..jobs.states import is_final
from ..jobs.view import JobView
from .job import job_json
from .watch import pauses

logger = logging.getLogger(__name__)

RECONNECT_AFTER = 2000  # milliseconds
HEARTBEAT = 5.0  # seconds; keeps proxies from closing the connection, and notices clients that are gone


def follow(engine: Engine, job: JobView, seen: int | None, root: str) -> Iterator[str]:
    """Yield the events of a job from now on; `seen` is the version that the client has already.

    Runs outside the app context, because a stream may live for hours, and holds no connection while nothing happens.
    """
    yield f"retry: {RECONNECT_AFTER}\n\n"
    while not is_final(job.state):
        if job.version != seen:
            yield _event("job", job, root)
        changed = yield from _next_change(engine, job)
        if changed is None:
            yield "event: gone\ndata: {}\n\n"
            return
        job, seen = changed, None
    yield _event("end", job, root)


def _event(name: str, job: JobView, root: str) -> str:
    return f"id: {job.version}\nevent: {name}\ndata: {json.dumps(job_json(job, root))}\n\n"


def _next_change(engine: Engine, job: JobView) -> Generator[str, None, JobView | None]:
    """Yield heartbeats until the job differs from what is known; return it, or None when it was deleted."""
    quiet_since = time.monotonic()
    for pause in pauses():
        time.sleep(pause)
        found = _look(engine, job)
        if found is not job:
            return found
        if time.monotonic() - quiet_since >= HEARTBEAT:
            quiet_since = time.monotonic()
            yield ": heartbeat\n\n"
    raise AssertionError("pauses() never ends")


def _look(engine: Engine, job: JobView) -> JobView | None:
    """Return the job as it is now: the very same object when nothing has changed."""
    try:
        with engine.connect() as connection:
            if queries.version_of(connection, job.id) == job.version:
                return job
            return queries.get(connection, job.id)
    except SQLAlchemyError as error:
        # The database may be back at the next look; the client would only come again.
        logger.warning("no news of job %s: %s", job.id, error)
        return job
