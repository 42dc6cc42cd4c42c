"""Server-sent events of one job, and of a page of jobs."""

from collections.abc import Generator, Iterator

from sqlalchemy import Connection

from ..jobs import lists, queries
from ..jobs.feed import Feed
from ..jobs.lookout import Lookout
from ..jobs.states import is_final
from ..jobs.view import JobView
from ..web import streams
from .job import job_json, whole_job_json


def follow(feed: Feed, job: JobView, seen: str | None, root: str) -> Iterator[str | None]:
    """Yield the events of a job from now on; `seen` is the version that the client has already.

    It holds no connection of its own.
    """
    while not is_final(job.state):
        if str(job.version) != seen:
            yield streams.event("job", whole_job_json(job, root), job.version)
        changed = yield from _next_change(feed, job)
        if changed is None:
            yield streams.event("gone", {})
            return
        job, seen = changed, None
    yield streams.event("end", whole_job_json(job, root), job.version)


def _next_change(feed: Feed, job: JobView) -> Generator[None, None, JobView | None]:
    """Yield heartbeats until the job differs from what is known; return it, or None when it was deleted."""
    while (changed := feed.change_of(job, streams.HEARTBEAT)) is job:
        yield None
    return changed


class PageLook:
    """Reads a page of jobs for all who watch it: each time the versions, and the jobs that have changed."""

    def __init__(self, wanted: lists.Filter, limit: int, after: lists.Place | None) -> None:
        self.key = ("page of jobs", wanted, limit, after)
        self._query = (wanted, limit, after)
        self._jobs: dict[str, JobView] = {}

    def __call__(self, connection: Connection) -> list[JobView]:
        """Return the jobs on the page, newest first."""
        wanted, limit, after = self._query
        versions = lists.versions(connection, wanted, limit=limit, after=after)
        known = {
            job_id: job for job_id, version in versions if (job := self._jobs.get(job_id)) and job.version == version
        }
        changed = [job_id for job_id, _ in versions if job_id not in known]
        read = queries.get_many(connection, changed) if changed else {}
        # One that was deleted between the two statements is in neither.
        self._jobs = {job_id: job for job_id, _ in versions if (job := known.get(job_id) or read.get(job_id))}
        return list(self._jobs.values())


def follow_page(lookout: Lookout, look: PageLook, seen: str | None, root: str) -> Generator[str | None]:
    """Yield the page, unless it is as the client has seen it, and then what changes on it."""
    known: dict[str, int] | None = None
    last = None
    with lookout.watch(look.key, look) as watch:
        while True:
            sight = watch.change(last, streams.HEARTBEAT)
            if sight is None:
                yield None
                continue
            jobs, last = sight.shown, sight.fingerprint
            if known is not None:
                yield _change(jobs, known, last, root)
            elif last != seen:
                yield streams.event("page", {"tasks": [job_json(job, root) for job in jobs]}, last)
            known = {job.id: job.version for job in jobs}


def _change(jobs: list[JobView], known: dict[str, int], fingerprint: str, root: str) -> str:
    changed = [job_json(job, root) for job in jobs if known.get(job.id) != job.version]
    left = sorted(known.keys() - {job.id for job in jobs})
    return streams.event("change", {"tasks": changed, "left": left}, fingerprint)
