"""Runs attempts of jobs in this process: through Celery's tracer, the claim and the result backend, as a worker does.

What only a worker's own processes can do is missing: time limits, and killing a task that ignores a cancel.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import celery
from celery import Celery
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.exceptions import Ignore, NotRegistered
from flask import Flask

from ..errors import IllegalMove, JobNotFound
from ..jobs import queries, service
from ..jobs.runtime import JobRuntime
from ..jobs.submission import Outgoing
from ..jobs.view import JobView
from ..mirror import codec
from ..mirror.request import claim_of
from .publisher import RowsPublisher

#: The name under which this process claims jobs.
WORKER = "inprocess@test"


class Attempt(NamedTuple):
    """All that a worker has of a job when it begins."""

    job: Outgoing
    task: celery.Task | None  # None: this app doesn't know it
    args: list[Any]
    kwargs: dict[str, Any]
    request: dict[str, Any]


def run_attempt(app: Flask, job_id: str) -> JobView:
    """Run the next attempt of a job; return the job afterwards. One that can't be claimed stays as it is.

    Raises JobNotFound. What the task raises becomes the job's error; only what would end a worker's process goes on
    (KeyboardInterrupt), but SystemExit, which loses the attempt.
    """
    with app.app_context():
        attempt = _attempt(app, job_id)
        try:
            _trace(app.extensions["celery"], attempt)
        except SystemExit as end:
            _give_up(app, attempt.job, f"its process ended: exitcode {end.code}", None)
        return service.get(job_id)


def lose_attempt(app: Flask, job_id: str) -> JobView:
    """Run the next attempt of a job, and let its worker die before it can record the outcome.

    Raises IllegalMove when the job can't be claimed, and what the task raises.
    """
    with app.app_context():
        attempt = _attempt(app, job_id)
        if attempt.task is None:
            raise NotRegistered(attempt.job.task)
        with _pushed(attempt.task, attempt) as request:
            try:
                attempt.task.before_start(job_id, attempt.args, attempt.kwargs)
            except Ignore:
                raise IllegalMove(job_id, "run", service.get(job_id).state) from None
            try:
                attempt.task(*attempt.args, **attempt.kwargs)
            finally:
                _give_up(app, attempt.job, "its worker died (in a test)", claim_of(request))
        return service.get(job_id)


def _attempt(app: Flask, job_id: str) -> Attempt:
    runtime: JobRuntime = app.extensions["jobs"]
    celery: Celery = app.extensions["celery"]
    with runtime.engine.connect() as connection:
        job = queries.outgoing(connection, job_id)
    if job is None:
        raise JobNotFound(job_id)
    args, kwargs = codec.loads(job.args), codec.loads(job.kwargs)
    message = RowsPublisher(celery, app).message_of(job)
    request = {**message, "args": args, "kwargs": kwargs, "hostname": WORKER, "is_eager": False}
    return Attempt(job, celery.tasks.get(job.task), args, kwargs, request)


def _trace(app: Celery, attempt: Attempt) -> None:
    job, task, args, kwargs, request = attempt
    if task is None:
        app.backend.mark_as_failure(job.id, NotRegistered(job.task), request=Context(request))
    else:
        build_tracer(task.name, task, hostname=WORKER, app=app)(job.id, args, kwargs, request)


@contextmanager
def _pushed(task: celery.Task, attempt: Attempt) -> Iterator[Context]:
    """Make the task the running one, as the tracer does."""
    task.push_request(attempt.request, called_directly=False)
    celery._state._task_stack.push(task)
    try:
        yield task.request
    finally:
        celery._state._task_stack.pop()
        task.pop_request()


def _give_up(app: Flask, job: Outgoing, reason: str, claimed_at: Any) -> None:
    cap = app.config["MAX_RESCUES"]
    service.give_up_attempt(job.id, job.attempt, reason=reason, max_rescues=cap, claimed_at=claimed_at)
