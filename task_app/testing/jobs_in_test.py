"""The jobs of an app under test: look at them, run them.

This module isn't named `jobs`, because as an attribute of the package it would hide the fixture of that name.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol

from celery import Celery
from celery.exceptions import NotRegistered
from flask import Flask

from ..context import app_context
from ..errors import IllegalMove
from ..jobs import lists, on_commit, queries, queue_control, service
from ..jobs.runtime import JobRuntime, utcnow
from ..jobs.states import is_waiting
from ..jobs.view import JobView
from .attempts import lose_attempt, run_attempt
from .matching import Expected, complaint
from .publisher import RowsPublisher

#: Attempts that `drain` and `eager` run unless they are told another number.
LIMIT = 1000


class HasId(Protocol):
    """A job or Celery's AsyncResult."""

    @property
    def id(self) -> str:
        """The job's id."""


class HasName(Protocol):
    """A task."""

    @property
    def name(self) -> str:
        """The task's name."""


class TooManyJobs(AssertionError):
    """More attempts were run than the limit allows: jobs may be sending each other without an end."""

    def __init__(self, limit: int, last: JobView) -> None:
        super().__init__(f"{limit} attempts were run, and jobs still wait; the last was of {last.task}, job {last.id}")


class Jobs:
    """The jobs of an app, and a worker in this process that runs what it is told to and nothing else.

    The app's broker is left out from now on: what is published waits in the job table. Runs go through the same tracer,
    claim and result backend as a worker's. Without a worker's own processes there are no time limits, and nothing kills
    a task that ignores a cancel.

    Jobs are given as what `delay` returns, as what these methods return, or as ids; tasks as themselves or their names.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._celery: Celery = app.extensions["celery"]
        self._runtime: JobRuntime = app.extensions["jobs"]
        self._runtime.publisher = RowsPublisher(self._celery, app, self._published)
        self._limit: int | None = None  # of an eager mode
        self._sent: deque[str] = deque()
        self._runs = False

    # -- looking -------------------------------------------------------------------------------------------------

    def get(self, job: HasId | str) -> JobView:
        """Return a job as it is now. Raises JobNotFound."""
        with app_context(self.app):
            return service.get(_id_of(job))

    def enqueued(self, task: HasName | str | None = None) -> list[JobView]:
        """Return all jobs, or those of a task, in the order they were submitted, whatever has become of them."""
        wanted = lists.Filter(task=None if task is None else _name_of(task))
        found: list[JobView] = []
        with app_context(self.app):
            page = service.page(wanted, limit=LIMIT)
            found += page.jobs
            while page.next is not None:
                page = service.page(wanted, limit=LIMIT, after=page.next)
                found += page.jobs
        return found[::-1]

    def assert_enqueued(
        self,
        task: HasName | str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: str | None = None,
        due_at: datetime | timedelta | None = None,
        count: int | None = None,
    ) -> list[JobView]:
        """Fail the test unless such a job was submitted, or exactly `count`; return those that were.

        With `args` or `kwargs` all arguments must be equal, however they were given: by position or by name. `due_at`
        is a moment, or how long after its submission the job is due; both to the second.
        """
        __tracebackhide__ = True
        name = _name_of(task)
        known = self._celery.tasks.get(name)
        expected = Expected(task=known, name=name, args=args, kwargs=kwargs, queue=queue, due_at=due_at)
        there = self.enqueued()
        found = [job for job in there if expected.fits(job)]
        if len(found) != count if count is not None else not found:
            raise AssertionError(complaint(expected, count, len(found), there))
        return found

    # -- running -------------------------------------------------------------------------------------------------

    def run_job(self, job: HasId | str) -> JobView:
        """Run the next attempt of a job now, also before it is due; return the job afterwards.

        Nothing else is run: what it sends waits. What the task raises is the job's error.
        Raises JobNotFound, and IllegalMove for a job that runs, has ended, or waits for others.
        """
        job_id = self._may_run(job)
        self._run(job_id)
        self._run_sent()
        return self.get(job_id)

    def run_task(self, task: HasName | str, /, *args: Any, **kwargs: Any) -> JobView:
        """Submit a job and run its first attempt."""
        name = _name_of(task)
        if name not in self._celery.tasks:
            raise NotRegistered(name)
        job = self._celery.send_task(name, args, kwargs)
        return self.run_job(job) if self._limit is None else self.get(job)

    def lose_job(self, job: HasId | str) -> JobView:
        """Run the next attempt of a job, and let its worker die when the work is done and nobody knows it yet.

        The job waits for another attempt, as after a power cut: what the task does twice does it now. Raises as
        `run_job` does, and what the task raises.
        """
        return lose_attempt(self.app, self._may_run(job))

    def drain(self, *, limit: int = LIMIT, ignore_due: bool = False) -> list[JobView]:
        """Run jobs, and what they send, until nothing is left to run; return each attempt's job as it left it.

        The most urgent first, then the oldest, as a worker with one process would. What is due later stays, unless
        `ignore_due` is set: then it is run in the order of the due times, when nothing else is left. Jobs in paused
        queues stay. Raises TooManyJobs when more than `limit` attempts would be run.
        """
        self._refuse_if_locked()
        ran: list[JobView] = []
        while (job_id := self._next(ignore_due)) is not None:
            if len(ran) >= limit:
                raise TooManyJobs(limit, ran[-1] if ran else self.get(job_id))
            ran.append(self._run(job_id))
        return ran

    @contextmanager
    def eager(self, *, limit: int = LIMIT) -> Iterator["Jobs"]:
        """Within, run each job as soon as it is published: when `delay` returns, it and what it has sent are done.

        Unlike with Celery's `task_always_eager` every job has its row. What a job sends is run after it, not inside it.
        What is due later, retries with a pause too, waits for `drain`; so does `POST /tasks/batch`, which leaves
        publishing to others. Raises TooManyJobs from the `delay` that has led to more than `limit` attempts.
        """
        before, self._limit = self._limit, limit
        try:
            yield self
        finally:
            self._limit = before

    def _may_run(self, job: HasId | str) -> str:
        self._refuse_if_locked()
        found = self.get(job)
        if found.blocked_by is not None:
            raise IllegalMove(found.id, "run", f"waiting for {found.blocked_by}")
        if not is_waiting(found.state):
            raise IllegalMove(found.id, "run", found.state)
        return found.id

    @staticmethod
    def _refuse_if_locked() -> None:
        """Say at once what would be a wait in vain for the lock of the test's own transaction."""
        on_commit.refuse_if_session_writes()

    def _next(self, ignore_due: bool) -> str | None:
        with self._runtime.engine.connect() as connection:
            paused = queue_control.paused(connection)
            found = queries.next_to_run(connection, due_by=utcnow(), not_in=paused)
            if found is None and ignore_due:
                found = queries.next_to_run(connection, due_by=None, not_in=paused)
            return found

    def _run(self, job_id: str) -> JobView:
        self._runs = True
        try:
            return run_attempt(self.app, job_id)
        finally:
            self._runs = False

    def _published(self, job_id: str) -> None:
        if self._limit is None:
            return
        self._sent.append(job_id)
        if not self._runs:
            self._run_sent()

    def _run_sent(self) -> None:
        """Run what was published in eager mode, in its turn: no recursion, however long a chain is."""
        ran = 0
        try:
            while self._sent and self._limit is not None:
                job = self._run(self._sent.popleft())
                ran += 1
                if ran >= self._limit and self._sent:
                    raise TooManyJobs(self._limit, job)
        finally:
            self._sent.clear()


def _id_of(job: HasId | str) -> str:
    return job if isinstance(job, str) else job.id


def _name_of(task: HasName | str) -> str:
    return task if isinstance(task, str) else task.name
