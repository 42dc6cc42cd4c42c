"""Celery's result backend is the job table: every state Celery records is a guarded move of the row.

Celery writes some states outside the app context and some from the worker's parent process, so everything here works
on the kernel's engine and needs no context.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from celery import Celery, exceptions, states
from celery.app.backends import by_url
from celery.app.task import Context
from celery.backends.base import BaseBackend, _create_chord_error_with_cause
from celery.canvas import maybe_signature
from celery.result import GroupResult, allow_join_result, result_from_tuple
from celery.utils.serialization import UnpickleableExceptionWrapper, ensure_serializable
from flask import Flask
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from ..context import app_context
from ..errors import JobCancelled, ValueNotStorable
from ..jobs import faults, groups, publishing, queries, service, transitions, workers
from ..jobs.runtime import JobRuntime, utcnow
from ..jobs.states import State, WaitReason, is_waiting
from . import adopt, codec, identity
from .parts import PartsEnded
from .patience import insist, is_outage
from .request import attempt_of, claim_of, guarded_attempt
from .send import submission_of

logger = logging.getLogger(__name__)

#: Seconds between the first two looks at a job somebody waits for.
FIRST_LOOK = 0.01


class JobBackend(BaseBackend):
    """Reads and writes results in the job table.

    Where the app also names a result backend (`CELERY_RESULT_BACKEND`), results are written there as well, after the
    row.
    """

    # Rows are kept by the retention of jobs, not by `result_expires`.
    supports_autoexpire = True
    supports_native_join = True

    def __init__(self, app: Celery, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._flask_app: Flask = app.flask_app
        url: str | None = self._flask_app.config["RESULT_BACKEND_URL"]
        self._second: BaseBackend | None = _build(app, url) if url else None
        self._parts = PartsEnded(self._flask_app.config["PROGRESS_INTERVAL"])

    @property
    def _runtime(self) -> JobRuntime:
        runtime: JobRuntime = self._flask_app.extensions["jobs"]
        return runtime

    @property
    def _engine(self) -> Engine:
        return self._runtime.engine

    def as_uri(self, include_password: bool = False) -> str:
        """Name the backend in Celery's banner."""
        return "job table" if self._second is None else f"job table, and {self._second.as_uri()}"

    # -- writing -------------------------------------------------------------------------------------------------

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """Record a success, also of a task whose result nobody wants: the row must still say SUCCESS."""
        ignored = bool(request is not None and request.ignore_result) or not store_result
        if not (request is not None and request.is_eager and not store_result):
            self.store_result(task_id, None if ignored else result, state, request=request, ignored=ignored)
        if request and request.chord:
            self.on_chord_part_return(request, state, result)

    def mark_as_failure(
        self,
        task_id: str,
        exc: BaseException,
        traceback: str | None = None,
        request: Any = None,
        store_result: bool = True,
        call_errbacks: bool = True,
        state: str = states.FAILURE,
    ) -> None:
        """Record a failure; an attempt that was lost with its process is given another one instead."""
        if isinstance(exc, WorkerLostError) and request is not None:
            with app_context(self._flask_app):
                insist(
                    lambda: service.give_up_attempt(
                        task_id,
                        attempt_of(request),
                        reason=str(exc),
                        max_rescues=self._flask_app.config["MAX_RESCUES"],
                        of_worker=identity.worker_id(),
                    ),
                    f"the loss of {task_id}",
                )
            return  # it waits again, or has ended and whoever waits for it was told
        if store_result:
            self.store_result(task_id, exc, state, traceback=traceback, request=request)
        if request is None or getattr(request, "job_fenced", False):
            return  # that attempt is over: what follows the job is none of its business
        if request.chord:
            self.on_chord_part_return(request, state, exc)
        self._fail_chain(getattr(request, "chain", None), exc, traceback, store_result, state, after=task_id)
        if call_errbacks and request.errbacks:
            self._call_task_errbacks(request, exc, traceback)

    def mark_as_revoked(
        self,
        task_id: str,
        reason: str = "",
        request: Any = None,
        store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:
        """Record that an attempt was revoked."""
        exc = exceptions.TaskRevokedError(reason)
        if store_result:
            self.store_result(task_id, exc, state, request=request)
        if request and request.chord and not getattr(request, "job_fenced", False):
            self.on_chord_part_return(request, state, exc)

    def pass_on(self, job_id: str) -> None:
        """Tell chords, chains and errbacks of an outcome that Celery did not write (cancelled, given up, expired)."""
        with self._engine.connect() as connection:
            row = queries.row(connection, job_id, "state", "error", "root_id", "parent_id", "group_id", "message")
        if row is None or row["state"] not in (State.FAILURE, State.REVOKED):
            return
        message = json.loads(row["message"]) if row["message"] else {}
        request = Context(
            id=job_id,
            root_id=row["root_id"],
            parent_id=row["parent_id"],
            group=row["group_id"],
            chord=message.get("chord"),
            errbacks=message.get("link_error"),
            delivery_info={},
        )
        exc = self._exception_of(json.loads(row["error"]))
        self._cancel_offspring(job_id, row["state"])
        if request.chord:
            self.on_chord_part_return(request, row["state"], exc)
        self._fail_chain(message.get("chain"), exc, after=job_id)
        if request.errbacks:
            self._call_task_errbacks(request, exc, None)

    def _fail_chain(self, chain: Any, exc: Any, *args: Any, after: str | None = None, **kwargs: Any) -> None:
        """Fail the later steps of a chain, as Celery does, as long as the job they come `after` has ended.

        Somebody may have started it again meanwhile; then they wait for it again.
        """
        left = [
            {**step, "options": {**(step.get("options") or {}), "job_after": after}}
            for step in chain or ()
            if not self._has_ended((step.get("options") or {}).get("task_id"))
        ]
        super()._fail_chain(left, exc, *args, **kwargs)

    def _cancel_offspring(self, job_id: str, state: str) -> None:
        if state == State.REVOKED:
            with app_context(self._flask_app):
                service.cancel_offspring(job_id)

    def _has_ended(self, job_id: str | None) -> bool:
        with self._engine.connect() as connection:
            found = queries.row(connection, job_id, "finished_at") if job_id else None
        return found is not None and found["finished_at"] is not None

    def store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        ignored: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Move the row as Celery's state says. Waits while the database is away; refuses a move that is not legal."""
        if not adopt.is_possible_id(task_id):
            logger.error("%s for a job with an impossible id is dropped: %.200r", state, task_id)
            return result
        about = request if request is not None and getattr(request, "id", None) == task_id else None
        tries = 0

        def write() -> bool:
            nonlocal tries
            tries += 1
            # A write may have been committed although this process saw an error.
            if self._move(task_id, result, state, traceback, about, request, ignored):
                return True
            if tries == 1 or not self._is_so(task_id, state, about):
                return False
            self._cancel_offspring(task_id, state)  # the try that was committed unseen has not come to it
            return True

        try:
            moved = insist(write, f"{state} of {task_id}")
        except ValueNotStorable as error:
            if state == State.SUCCESS:
                raise  # Celery makes a FAILURE of it
            logger.error("%s of %s is junk and dropped: %s", state, task_id, error)  # noqa: TRY400 - not our fault
            return result
        if not moved:
            self._count_refusal(task_id, state)
            if about is not None and guarded_attempt(about) is not None:
                about.job_fenced = True
        elif self._second is not None:
            self._store_in(self._second, task_id, result, state, traceback, request)
        return result

    def _is_so(self, job_id: str, state: str, about: Any) -> bool:
        """Say whether the row tells already what is to be written of an attempt."""
        with self._engine.connect() as connection:
            found = queries.row(connection, job_id, "state", "attempt", "started_at")
        attempt = None if about is None else guarded_attempt(about)
        return (
            found is not None
            and found["state"] == state
            and attempt in (None, found["attempt"])
            and claim_of(about) in (None, found["started_at"])
        )

    def _count_refusal(self, job_id: str, state: str) -> None:
        logger.warning("refused %s for job %s: that attempt is over", state, job_id)
        with suppress(SQLAlchemyError), self._engine.connect() as connection:
            workers.count(connection, identity.worker_id(), "refused")

    def _move(
        self, job_id: str, result: Any, state: str, traceback: str | None, about: Any, request: Any, ignored: bool
    ) -> bool:
        attempt = None if about is None else guarded_attempt(about)
        with self._engine.connect() as connection:
            if state == State.SUCCESS:
                return self._succeed(connection, job_id, attempt, result, about, ignored)
            if state == State.RETRY:
                return self._retried(connection, job_id, attempt, about)
            if state in (State.FAILURE, State.REVOKED):
                return self._end_badly(connection, job_id, attempt, State(state), result, traceback, about or request)
            return self._report(connection, job_id, attempt, result, state, about)

    def _succeed(
        self, connection: Connection, job_id: str, attempt: int | None, result: Any, about: Any, ignored: bool
    ) -> bool:
        text: str | None = None
        if not ignored:
            text = getattr(about, "job_result", None) or codec.dumps(
                self.prepare_value(result), "the result", self._flask_app.config["JOB_RESULT_LIMIT"]
            )
        return transitions.succeed(
            connection,
            job_id,
            attempt or _current_attempt(connection, job_id),
            result=text,
            children=self._children(about),
            claimed_at=claim_of(about),
            now=utcnow(),
        )

    def _end_badly(
        self,
        connection: Connection,
        job_id: str,
        attempt: int | None,
        state: State,
        exc: Any,
        traceback: str | None,
        about: Any,
    ) -> bool:
        if isinstance(exc, exceptions.Reject):
            exc = exc.reason  # Celery's wrapping of what kept a retry from being sent
        if isinstance(exc, JobCancelled):
            state, exc, traceback = State.REVOKED, exceptions.TaskRevokedError("cancelled"), None
        fault = self.fault_of(exc, traceback)
        children = self._children(about)
        after = getattr(about, "job_after", None)
        if transitions.end_badly(
            connection,
            job_id,
            attempt,
            state=state,
            error=fault,
            children=children,
            after=after,
            claimed_at=claim_of(about),
            of_worker=identity.worker_id() if attempt is not None else None,
            now=utcnow(),
        ):
            self._cancel_offspring(job_id, state)
            return True
        if queries.row(connection, job_id, "id") is not None:
            return False
        adopt.from_outcome(connection, job_id, about, self._runtime.publisher)
        return transitions.end_badly(connection, job_id, None, state=state, error=fault, now=utcnow())

    def _retried(self, connection: Connection, job_id: str, attempt: int | None, about: Any) -> bool:
        """Let the message of the next attempt go: the row has moved, and said why, in `send` already."""
        if attempt is None:
            return False
        found = queries.row(connection, job_id, "state", "attempt", "due_at")
        if found is None or found["attempt"] == attempt:
            # Nobody asked for another attempt: Celery gives this one back, because its worker was told to stop.
            with app_context(self._flask_app):
                return bool(
                    service.give_up_attempt(
                        job_id,
                        attempt,
                        reason="its worker was told to stop",
                        max_rescues=None,
                        claimed_at=claim_of(about),
                        of_worker=identity.worker_id(),
                    )
                )
        is_next = found["attempt"] == attempt + 1 and is_waiting(found["state"])
        if is_next and (found["due_at"] is None or found["due_at"] <= utcnow()):
            with app_context(self._flask_app):
                publishing.publish_by_id(job_id)
        return is_next

    def _report(
        self, connection: Connection, job_id: str, attempt: int | None, meta: Any, state: str, about: Any
    ) -> bool:
        if state in (State.PENDING, State.RETRY) or (about is not None and not getattr(about, "claimed", False)):
            # Not words for a running job; and Celery's own STARTED comes before the claim, which says it better.
            return state == State.STARTED
        text = codec.dumps(meta, "the state's meta data", self._flask_app.config["JOB_RESULT_LIMIT"])
        return transitions.report(
            connection,
            job_id,
            attempt or _current_attempt(connection, job_id),
            state=state,
            meta=text,
            claimed_at=claim_of(about),
        )

    def _children(self, about: Any) -> str | None:
        children = self.current_task_children(about) if about is not None and hasattr(about, "children") else None
        return codec.dumps(children, "the children") if children else None

    def fault_of(self, exc: Any, traceback: str | None = None) -> dict[str, Any]:
        """Describe an exception as the table keeps it."""
        if not isinstance(exc, BaseException):
            exc = Exception(str(exc))
        described = _unwrapped(exc) or self.prepare_exception(exc, "json")
        args = ensure_serializable(described["exc_message"], self.encode)
        message = _message_of(exc)
        try:
            if len(codec.dumps(args, "the error")) > faults.TEXT_LIMIT:
                args = [faults.shorten(message)]
        except ValueNotStorable:
            args = [message]
        plain = json.loads(codec.dumps(args, "the error"))
        return faults.fault(described["exc_type"], described["exc_module"], plain, message, traceback)

    def _store_in(
        self, second: BaseBackend, task_id: str, result: Any, state: str, traceback: str | None, request: Any
    ) -> None:
        try:
            second.store_result(task_id, result, state, traceback=traceback, request=request)
        except Exception:
            # The row is the truth and it is written; the copy is a courtesy.
            logger.exception("could not copy %s of %s to the result backend", state, task_id)

    # -- reading -------------------------------------------------------------------------------------------------

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        with self._engine.connect() as connection:
            for row in queries.metas(connection, [str(task_id)]):
                return self._meta(row)
        return {"status": states.PENDING, "result": None, "traceback": None, "children": None}

    def task_result_exists(self, task_id: str) -> bool:
        """Say whether the table knows this id."""
        with self._engine.connect() as connection:
            return queries.row(connection, task_id, "id") is not None

    def _meta(self, row: Any) -> dict[str, Any]:
        """Turn a row into the meta dict of Celery's backends."""
        if row["forgotten"]:
            return {"task_id": row["id"], "status": states.PENDING, "result": None, "traceback": None, "children": None}
        error = json.loads(row["error"]) if row["error"] else None
        state = row["state"]
        result: Any
        if state in self.EXCEPTION_STATES and error is not None:
            result = self._exception_of(error)
        elif state == State.SUCCESS:
            result = codec.loads(row["result"]) if row["result"] is not None else None
        else:
            result = codec.loads(row["progress"]) if row["progress"] is not None else None
        return {
            "task_id": row["id"],
            "status": state,
            "result": result,
            "traceback": error["traceback"] if error and state in self.EXCEPTION_STATES else None,
            "children": codec.loads(row["children"]) if row["children"] else [],
            "date_done": row["finished_at"],
            "name": row["task"],
            "args": codec.loads(row["args"]),
            "kwargs": codec.loads(row["kwargs"]),
            "worker": row["worker"],
            "retries": row["retries"],
            "queue": row["queue"],
            "parent_id": row["parent_id"],
            "group_id": row["group_id"],
        }

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_interval: Any = None,
    ) -> dict[str, Any]:
        """Wait for a job to end; look often at first, then every `interval` seconds.

        Raises celery.exceptions.TimeoutError after `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = min(FIRST_LOOK, interval)
        while True:
            meta: dict[str, Any] = self.get_task_meta(task_id)
            if meta["status"] in states.READY_STATES:
                return meta
            if on_interval:
                on_interval()
            left = float("inf") if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise exceptions.TimeoutError("The operation timed out.")
            time.sleep(min(pause, left))
            pause = min(interval, pause * 1.5)

    def _exception_of(self, error: dict[str, Any]) -> Any:
        described = {"exc_type": error["type"], "exc_module": error["module"], "exc_message": error["args"]}
        return self.exception_to_python(described)

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Any = None,
        on_interval: Any = None,
        max_iterations: int | None = None,
        READY_STATES: frozenset[str] = states.READY_STATES,  # noqa: N803 - Celery's name
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (id, meta) of each of these jobs as it ends; one query per look at all that are left."""
        missing = {str(task_id) for task_id in task_ids}
        deadline = None if timeout is None else time.monotonic() + timeout
        looks = 0
        while missing:
            with self._engine.connect() as connection:
                ended = [
                    self._meta(row)
                    for row in queries.metas(connection, sorted(missing))
                    if row["state"] in READY_STATES
                ]
            for meta in ended:
                missing.discard(meta["task_id"])
                if on_message is not None:
                    on_message(meta)
                yield meta["task_id"], meta
            looks += 1
            if not missing or (max_iterations and looks >= max_iterations):
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise exceptions.TimeoutError(f"Operation timed out ({timeout})")
            if on_interval:
                on_interval()
            time.sleep(interval or 0.5)

    def _forget(self, task_id: str) -> None:
        with self._engine.connect() as connection:
            transitions.forget(connection, task_id)

    # -- groups and chords ---------------------------------------------------------------------------------------

    def _save_group(self, group_id: str, result: GroupResult) -> GroupResult:
        text = codec.dumps(result.as_tuple(), "the group")
        with self._engine.connect() as connection:
            groups.save(connection, group_id, result=text, now=utcnow())
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        with self._engine.connect() as connection:
            row = queries.group(connection, group_id)
        if row is None or row["result"] is None:
            return None
        return {"result": result_from_tuple(codec.loads(row["result"]), self.app)}

    def _delete_group(self, group_id: str) -> None:
        with self._engine.connect() as connection:
            groups.delete(connection, group_id)

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """Remember a chord's header before its members are sent, and give its body a row that waits for them."""
        self.app.GroupResult(*header_result_args).save(backend=self)
        if body.get("subtask_type") is None and body.options.get("task_id"):
            # Celery names the header's group in the body too; as long as the body waits, it is no member of it.
            header = {"header": header_result_args[0]}
            waiting = submission_of(self.app, body, message=header, due_at=None, group_id=None)
            with app_context(self._flask_app):
                service.submit_waiting(waiting, WaitReason.CHORD)

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Remember how many parts the chord waits for, and let its body say so."""
        with self._engine.connect() as connection:
            groups.save(connection, group_id, size=chord_size, unjoined=True, now=utcnow())
            message = json.loads(queries.message_of_a_part(connection, group_id) or "{}")
            self._parts.show(connection, group_id, chord_size, message.get("chord"), at_once=True)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """A part of a chord has ended: send the body if it was the last one.

        Two parts that end together may both get here; the body has a frozen id, so one job comes of it. A worker's
        process waits while the database is away; anybody else leaves it to the joiner.
        """
        if self.app.current_worker_task is None:
            self._join_if_complete(request)
        else:
            insist(lambda: self._join_if_complete(request), f"the end of chord {request.group}")

    def _join_if_complete(self, request: Any) -> None:
        group_id = request.group
        if not group_id or not request.chord:
            return
        with self._engine.connect() as connection:
            group = queries.group(connection, group_id)
            size = group["size"] if group is not None else None
            if size is None:
                return
            is_complete = queries.group_is_complete(connection, group_id, size)
            self._parts.show(connection, group_id, size, request.chord, at_once=is_complete)
            if not is_complete:
                return
        self._join(request, group_id)
        with self._engine.connect() as connection:
            groups.save(connection, group_id, unjoined=False, now=utcnow())

    def join_left_over(self, limit: int = 100) -> int:
        """Join complete chords whose last part died, or lost the database, before it sent the body; return how many."""
        with self._engine.connect() as connection:
            complete = [
                (group["id"], queries.message_of_a_part(connection, group["id"]))
                for group in queries.unjoined_groups(connection, limit)
                if queries.group_is_complete(connection, group["id"], group["size"])
            ]
        for group_id, message in complete:
            chord = json.loads(message or "{}").get("chord")
            if chord is None:
                continue
            try:
                self._join_if_complete(Context(group=group_id, chord=chord))
            except Exception as error:
                if is_outage(error):
                    raise
                logger.exception("chord %s can't be joined", group_id)  # it must not keep the others from it
        return len(complete)

    def _join(self, request: Any, group_id: str) -> None:
        """Collect the results of a chord's header and send its body, or fail it."""
        body = maybe_signature(request.chord, app=self.app)
        header = GroupResult.restore(group_id, backend=self)
        try:
            with allow_join_result():
                results = header.join_native(timeout=self.app.conf.result_chord_join_timeout, propagate=True)
        except Exception as error:
            # Whatever a part raised is the chord's error, but for the database that is away now.
            with self._engine.connect() as connection:
                culprit = queries.first_failed_part(connection, group_id)
            if culprit is None and is_outage(error):
                raise
            self._chord_failed(header, body, error, culprit)
            return
        try:
            body.delay(results)
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("the body of chord %s could not be sent", group_id)
            self.chord_error_from_stack(
                body, _create_chord_error_with_cause(f"Callback error: {error!r}", original_exc=error)
            )

    def _chord_failed(self, header: GroupResult, body: Any, error: Exception, culprit: Any) -> None:
        if culprit is None:
            reason = repr(error)
        else:
            error = self._exception_of(json.loads(culprit["error"]))
            reason = f"Dependency {culprit['id']} raised {error!r}"
        logger.warning("chord %s failed: %s", header.id, reason)
        if body.options.get("task_id"):
            with self._engine.connect() as connection:
                adopt.from_outcome(connection, body.options["task_id"], _BodyContext(body), self._runtime.publisher)
        self.chord_error_from_stack(body, _create_chord_error_with_cause(reason, original_exc=error))


class _BodyContext:
    """What `adopt.from_outcome` wants to know of a chord body that will never be sent."""

    def __init__(self, body: Any) -> None:
        self.task = body.task
        self.args = body.args
        self.kwargs = body.kwargs
        self.options = body.options
        self.root_id = body.options.get("root_id")
        self.group = body.options.get("group_id")


def _build(app: Celery, url: str) -> BaseBackend:
    backend, url = by_url(url, app.loader)
    built: BaseBackend = backend(app=app, url=url)
    return built


def _current_attempt(connection: Connection, job_id: str) -> int:
    found = queries.row(connection, job_id, "attempt")
    return 0 if found is None else int(found["attempt"])


def _unwrapped(exc: BaseException) -> dict[str, Any] | None:
    """Describe what Celery has put its stand-in for: exceptions that can't be pickled, as many libraries have."""
    if not isinstance(exc, UnpickleableExceptionWrapper):
        return None
    return {"exc_type": exc.exc_cls_name, "exc_module": exc.exc_module, "exc_message": exc.exc_args}


def _message_of(exc: BaseException) -> str:
    """Say what went wrong as people would."""
    if isinstance(exc, TimeLimitExceeded):
        return f"the hard time limit of {exc.args[0]} s was exceeded; the process that ran the task was killed"
    if isinstance(exc, SoftTimeLimitExceeded):
        return "the soft time limit was exceeded"
    if isinstance(exc, UnpickleableExceptionWrapper):
        return str(Exception(*exc.exc_args)) or str(exc.text)
    if isinstance(exc, exceptions.NotRegistered):
        return f"the worker knows no task {exc.args[0]!r}"
    return str(exc) or type(exc).__name__
