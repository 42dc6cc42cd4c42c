"""News of jobs for whoever in this process waits for some: one query per look, however many wait."""

import logging
import threading
import time
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from . import queries
from .view import JobView

logger = logging.getLogger(__name__)

#: Seconds between two looks while few jobs are watched: most jobs are short, and somebody waits for this one.
SHORTEST_PAUSE = 0.02
#: … and while many are. A change is seen after half of it on average.
LONGEST_PAUSE = 0.1
#: From this many jobs on the pause is the longest.
MANY = 50
#: Seconds until the next look after the database did not answer.
AFTER_OUTAGE = 1.0


@dataclass(slots=True)
class _Watched:
    """A job that somebody waits for."""

    version: int  # what was last seen in the table
    job: JobView | None = None  # … with what; None while it has not changed, and when it was deleted
    deleted: bool = False
    waiting: int = 0
    news: threading.Event = field(default_factory=threading.Event)


class Feed:
    """Looks at all watched jobs in a thread of its own, which lives while there are any."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._runs = False

    def change_of(self, job: JobView, timeout: float) -> JobView | None:
        """Wait until a job differs from this view of it, and return the new one; None when it was deleted.

        Returns the very same object after `timeout` seconds without a change.
        """
        deadline = time.monotonic() + timeout
        watched = self._enter(job)
        try:
            while True:
                news = watched.news  # before the job: what comes between the two is told by it
                if watched.deleted:
                    return None
                if watched.job is not None and watched.job.version > job.version:
                    return watched.job
                if not news.wait(max(0.0, deadline - time.monotonic())):
                    return job
        finally:
            self._leave(job.id, watched)

    def _enter(self, job: JobView) -> _Watched:
        with self._lock:
            watched = self._watched.setdefault(job.id, _Watched(job.version))
            watched.waiting += 1
            if watched.job is None:
                watched.version = min(watched.version, job.version)  # the next look tells whose view is the older
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="job-feed", daemon=True).start()
            return watched

    def _leave(self, job_id: str, watched: _Watched) -> None:
        with self._lock:
            watched.waiting -= 1
            if not watched.waiting and self._watched.get(job_id) is watched:
                del self._watched[job_id]

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._watched:
                    self._runs = False
                    return
                known = {job_id: watched.version for job_id, watched in self._watched.items()}
            try:
                self._look(known)
                pause = SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE) * min(1.0, len(known) / MANY)
            except SQLAlchemyError as error:
                # Those who wait need not know: it may be back before their time is over.
                logger.warning("no news of %d jobs: %s", len(known), str(error).splitlines()[0])
                pause = AFTER_OUTAGE
            time.sleep(pause)

    def _look(self, known: dict[str, int]) -> None:
        """Compare versions; read only the rows that have changed."""
        with self._engine.connect() as connection:
            found = queries.versions(connection, list(known))
            changed = [job_id for job_id, version in found.items() if version != known[job_id]]
            jobs = queries.get_many(connection, changed) if changed else {}
        gone = known.keys() - found.keys()
        with self._lock:
            for job_id in (*changed, *gone):
                watched, job = self._watched.get(job_id), jobs.get(job_id)
                if watched is None:
                    continue
                watched.deleted = job is None
                watched.job, watched.version = job, job.version if job else watched.version
                told, watched.news = watched.news, threading.Event()
                told.set()
