"""Server-sent events of one job."""

import json
from collections.abc import Generator, Iterator

from ..jobs.feed import Feed
from ..jobs.states import is_final
from ..jobs.view import JobView
from .job import job_json

RECONNECT_AFTER = 2000  # milliseconds
HEARTBEAT = 5.0  # seconds; keeps proxies from closing the connection, and notices clients that are gone


def follow(feed: Feed, job: JobView, seen: int | None, root: str) -> Iterator[str]:
    """Yield the events of a job from now on; `seen` is the version that the client has already.

    Runs outside the app context, because a stream may live for hours, and holds no connection of its own.
    """
    yield f"retry: {RECONNECT_AFTER}\n\n"
    while not is_final(job.state):
        if job.version != seen:
            yield _event("job", job, root)
        changed = yield from _next_change(feed, job)
        if changed is None:
            yield "event: gone\ndata: {}\n\n"
            return
        job, seen = changed, None
    yield _event("end", job, root)


def _event(name: str, job: JobView, root: str) -> str:
    return f"id: {job.version}\nevent: {name}\ndata: {json.dumps(job_json(job, root))}\n\n"


def _next_change(feed: Feed, job: JobView) -> Generator[str, None, JobView | None]:
    """Yield heartbeats until the job differs from what is known; return it, or None when it was deleted."""
    while (changed := feed.change_of(job, HEARTBEAT)) is job:
        yield ": heartbeat\n\n"
    return changed
