"""The Task base class of every task: claim before start, run inside the Flask app, obey the job's own retry limit."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import celery
from celery.canvas import Signature
from celery.exceptions import Ignore, Reject
from celery.result import ResultBase
from flask import Flask
from sqlalchemy import Engine

from ..context import app_context
from ..errors import JobCancelled, JobNotFound
from ..jobs import faults, queries, transitions, workers
from ..jobs.ids import new_id
from ..jobs.runtime import JobRuntime, utcnow
from ..jobs.service import give_up_attempt, replacement_sent, wait_for_replacement
from ..jobs.states import State, is_running, is_waiting
from . import adopt, arguments, codec, identity, in_row
from .patience import insist
from .progress import Reporter
from .request import attempt_of, claim_of, line_of

logger = logging.getLogger(__name__)


class JobSignature(Signature):
    """A signature that freezes to a time-ordered id."""

    def freeze(self, _id: str | None = None, *args: Any, **kwargs: Any) -> Any:
        """Give the signature its id, as Celery does, but ours."""
        if "task_id" not in self.options and _id is None:
            _id = new_id()
        return super().freeze(_id, *args, **kwargs)

    _freeze = freeze

    def clone(self, *args: Any, **kwargs: Any) -> Signature:
        """Copy the signature; Celery's own copy would be a plain one."""
        return JobSignature(super().clone(*args, **kwargs), app=self._app)


class JobTask(celery.Task):
    """Base of all tasks of the app.

    Celery calls `before_start` and `__call__` in the process that runs the task. A task class that overrides
    `before_start` should call up, so that a duplicate message is dropped before its own code runs, and large arguments,
    which the message has left in the row, are there; if it doesn't, `__call__` claims.
    """

    Strategy = "task_app.mirror.strategy:default"
    Request = "task_app.mirror.worker_request:JobRequest"
    #: Set False to keep a task from being submitted or listed by the HTTP API.
    public = True
    # Errors and retries are recorded also for tasks whose result nobody wants.
    store_errors_even_if_ignored = True

    @property
    def flask_app(self) -> Flask:
        """The Flask app that this task belongs to."""
        app: Flask = self.app.flask_app
        return app

    def signature(self, args: Any = None, *starargs: Any, **starkwargs: Any) -> Signature:
        """Return a signature of this task (Celery's documented way to `s()`, `si()`, `subtask()`)."""
        starkwargs.setdefault("app", self.app)
        return JobSignature(self, args, *starargs, **starkwargs)

    subtask = signature

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> str:
        """Submit the job when, and only if, the transaction of `db.session` commits; returns its id at once."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(self, args: Any = None, kwargs: Any = None, **options: Any) -> str:
        """As `delay_on_commit`, with the options of `apply_async`.

        The job's row is part of the transaction: a rollback leaves none, and no worker sees the id before the commit.
        Raises JobExists for a `task_id` that is taken; the transaction can go on.
        """
        result = self.apply_async(args, kwargs, on_commit=True, **options)
        return str(result.id)

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Claim the job. Raises Ignore when there is nothing to claim."""
        self._claim_once()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task inside the app context. A direct call is a plain function call."""
        request = self.request
        if request.called_directly:
            with app_context(self.flask_app):
                return super().__call__(*args, **kwargs)
        if request.is_eager:
            with app_context(self.flask_app):
                return self.run(*args, **kwargs)
        if self._claim_once():
            args, kwargs = request.args, request.kwargs
        args, kwargs = self._as_hinted(args, kwargs)
        with self.flask_app.app_context(), Reporter.for_request(request, self.flask_app), self._no_row_left_running():
            value = self.run(*args, **kwargs)
        if not self.ignore_result and not request.ignore_result:
            # Here, not when the outcome is stored: what can't be kept must fail the job before its chain goes on.
            stored = value.as_tuple() if isinstance(value, ResultBase) else value
            request.job_result = codec.dumps(stored, "the result", self.flask_app.config["JOB_RESULT_LIMIT"])
        return value

    def retry(self, *args: Any, exc: BaseException | None = None, max_retries: int | None = None, **kwargs: Any) -> Any:
        """Retry as Celery does; `max_retries` given at submission wins over the task's own."""
        if max_retries is None:
            max_retries = getattr(self.request, "job_max_retries", None)
        # For the row, which moves before Celery tells why.
        self.request.job_retry_cause = exc or sys.exc_info()[1]
        return super().retry(*args, exc=exc, max_retries=max_retries, **kwargs)

    def on_replace(self, sig: Signature) -> Any:
        """Let the job wait, under its id, for what takes its place."""
        request = self.request
        if request.is_eager:
            return super().on_replace(sig)
        attempt, line = attempt_of(request), line_of(request, "REPLACED", None)
        with app_context(self.flask_app):
            claimed_at, about = claim_of(request), f"the replacement of {request.id}"
            if not insist(lambda: wait_for_replacement(request.id, attempt, line, claimed_at), about):
                raise JobCancelled(f"attempt {attempt} of {request.id} was cancelled or given up")
            # The row has moved on to the next attempt; whatever goes wrong now is that one's.
            request.job_attempt, request.blocked, request.claimed = attempt + 1, True, False
            sig.delay()
            insist(lambda: replacement_sent(request.id, attempt + 1), f"the alarm of {request.id}")
        raise Ignore("Replaced by new task")

    @contextmanager
    def _no_row_left_running(self) -> Iterator[None]:
        """Record something where Celery records nothing: for `Ignore`, and for `Reject(requeue=True)`."""
        request = self.request
        try:
            yield
        except Ignore:
            if not getattr(request, "blocked", False):
                self._end_ignored(request)
            raise
        except Reject as reject:
            if not reject.requeue:
                raise
            reason, cap = f"the task rejected its message: {reject.reason}", self.flask_app.config["MAX_RESCUES"]
            insist(
                lambda: give_up_attempt(
                    request.id,
                    attempt_of(request),
                    reason=reason,
                    max_rescues=cap,
                    claimed_at=claim_of(request),
                ),
                f"the rejection of {request.id}",
            )
            raise Ignore("rejected; the job waits for its next attempt") from reject

    def _end_ignored(self, request: Any) -> None:
        """End the job, unless the task has set a final state itself before it raised Ignore."""
        runtime: JobRuntime = self.flask_app.extensions["jobs"]
        fault = faults.revoked("the task raised Ignore")

        def end() -> bool:
            with runtime.engine.connect() as connection:
                return transitions.end_badly(
                    connection,
                    request.id,
                    attempt_of(request),
                    state=State.REVOKED,
                    error=fault,
                    claimed_at=claim_of(request),
                    now=utcnow(),
                )

        if insist(end, f"the end of {request.id}"):
            self.backend.pass_on(request.id)

    def _as_hinted(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Give a task hinted `date` a date: rows and messages keep the JSON that the client sent."""
        try:
            return arguments.revive(self, args, kwargs)
        except arguments.WrongTask:
            return args, kwargs  # not a task the API offers; it gets what the message says

    # -- claiming ------------------------------------------------------------------------------------------------

    def _claim_once(self) -> bool:
        """Claim, unless that is done already; say whether this has put other arguments into the request."""
        request = self.request
        if request.called_directly or request.is_eager or getattr(request, "claimed", False):
            return False
        if getattr(request, "given_back", False):
            raise Ignore("its queue is paused, and the broker has the message again")
        runtime: JobRuntime = self.flask_app.extensions["jobs"]
        # One moment for all tries: together with the worker's id it tells our own claim from anybody else's.
        request.started_at = utcnow()
        insist(lambda: self._claim(runtime.engine, request), f"the claim of {request.id}")
        request.claimed = True
        if not in_row.has_left(request):
            return False
        insist(lambda: in_row.take(runtime.engine, self.name, request), f"the arguments of {request.id}")
        return True

    def _claim(self, engine: Engine, request: Any) -> None:
        job_id, attempt, now = request.id, attempt_of(request), request.started_at
        with engine.connect() as connection:
            for _ in range(2):
                if transitions.claim(
                    connection, job_id, attempt, worker=request.hostname, worker_id=identity.worker_id(), now=now
                ):
                    return
                found = queries.row(connection, job_id, "state", "attempt", "worker_id", "started_at")
                if found is not None:
                    break
                if in_row.has_left(request):
                    workers.count(connection, identity.worker_id(), "dropped")
                    raise Ignore("its row is gone, and its arguments with it")
                # A foreign producer's message that its strategy could not adopt.
                adopt.from_request(connection, self.name, request)
            if found is None:
                raise JobNotFound(job_id)  # deleted between two statements
            self._refused(connection, found, job_id, attempt)

    def _refused(self, connection: Any, found: Any, job_id: str, attempt: int) -> None:
        mine = (attempt, identity.worker_id(), self.request.started_at)
        if is_running(found["state"]) and (found["attempt"], found["worker_id"], found["started_at"]) == mine:
            return  # an earlier try was committed, although this process saw an error
        if is_waiting(found["state"]) and found["attempt"] == attempt:
            # Waiting and ours, so only its expiry can have kept it from us.
            expired = faults.revoked("expired")
            transitions.end_badly(connection, job_id, attempt, state=State.REVOKED, error=expired, now=utcnow())
            self.backend.pass_on(job_id)
            raise Ignore(f"job {job_id} has expired")
        workers.count(connection, identity.worker_id(), "dropped")
        logger.info(
            "dropped a message for attempt %d of job %s: it is %s, attempt %d",
            attempt,
            job_id,
            found["state"],
            found["attempt"],
        )
        raise Ignore("duplicate or stale message")
