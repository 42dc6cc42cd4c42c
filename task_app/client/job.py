"""A job as it was last seen, and what one can do with it."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

from httpx_sse import EventSource

from .errors import Conflict, InvalidRequest, JobFailed, JobRevoked, NoAnswer, NotFound, Unavailable, WaitTimeout
from .files import FileInfo
from .transport import Patience, Transport

FINAL = ("SUCCESS", "FAILURE", "REVOKED")
#: Seconds that one request waits for the end of a job; then the next one does.
LONGEST_WAIT = 30.0
#: Seconds that the answer to such a request may be late.
LATE = 2.0
#: Seconds between two looks where the service can't make us wait.
SHORTEST_LOOK, LONGEST_LOOK = 0.1, 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, as its task has reported."""

    current: Any
    total: Any
    percent: float | None  # 0 to 100
    message: Any


@dataclass(frozen=True, slots=True)
class JobError:
    """Why an attempt failed."""

    type: str | None
    message: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a job."""

    attempt: int
    state: str
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None
    error: JobError | None


class ClientJob:
    """A job as it was last seen. `refresh`, `wait`, `events` and what moves it bring it up to date.

    `document` is all that the service says of it.
    """

    def __init__(self, transport: Transport, document: Mapping[str, Any]) -> None:
        self._transport = transport
        self._see(document)

    def _see(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.id: str = document["task_id"]
        self.task: str = document["task"]
        self.state: str = document["task_status"]
        self.args: list[Any] = document["args"]
        self.kwargs: dict[str, Any] = document["kwargs"]
        self.queue: str = document["queue"]
        self.priority: int = document["priority"]
        self.tags: list[str] = document["tags"]
        self.progress = Progress(**{name: document["progress"].get(name) for name in Progress.__slots__})
        self.meta: Any = document["meta"]
        self.error = _error(document["error"])
        self.attempt: int = document["attempt"]
        self.retries: int = document["retries"]
        self.history = [_attempt(each) for each in document["history"]]
        self.waiting_for: str | None = document["waiting_for"]
        self.worker: str | None = document["worker"]
        self.parent_id: str | None = document["parent_id"]
        self.root_id: str | None = document["root_id"]
        self.group_id: str | None = document["group_id"]
        self.max_retries: int | None = document["max_retries"]
        self.soft_time_limit: float | None = document["soft_time_limit"]
        self.time_limit: float | None = document["time_limit"]
        self.created_at = datetime.fromisoformat(document["created_at"])
        self.due_at = _moment(document["due_at"])
        self.expires_at = _moment(document["expires_at"])
        self.published_at = _moment(document["published_at"])
        self.started_at = _moment(document["started_at"])
        self.finished_at = _moment(document["finished_at"])
        self.cancel_requested_at = _moment(document["cancel_requested_at"])

    def __repr__(self) -> str:
        return f"<ClientJob {self.id} {self.task} {self.state}>"

    @property
    def artefacts(self) -> list[FileInfo]:
        """The files that the job has made, by name. Lists leave them out: `refresh` a job that comes from one."""
        return [FileInfo.of(made) for made in self.document.get("artefacts", ())]

    @property
    def is_ended(self) -> bool:
        """Whether the job will not move again by itself."""
        return self.state in FINAL

    # -- following it ------------------------------------------------------------------------------------------------

    def refresh(self) -> Self:
        """Look at the job once more."""
        self._see(self._transport.request("GET", path_of(self.id)))
        return self

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until the job has ended, however it ends. Raises WaitTimeout after `timeout` seconds; None: no limit.

        A service that is away meanwhile is waited for, up to the client's `patience`.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        patience = Patience(self._transport.patience, deadline)
        longest, pause = LONGEST_WAIT, SHORTEST_LOOK
        while self.state not in FINAL:
            asked_at = time.monotonic()
            try:
                self._look(min(longest, max(0.0, deadline - asked_at)))
                patience.found()
            except InvalidRequest as error:
                if "wait" not in error.errors:
                    raise
                longest = 0.0  # the service has a lower limit: look now and then instead
            except (NoAnswer, Unavailable) as error:
                if time.monotonic() < deadline:
                    patience.lost(error)
            now = time.monotonic()
            if self.state in FINAL:
                break
            if now >= deadline:
                raise WaitTimeout(self, timeout or 0.0)
            if (early := pause - (now - asked_at)) > 0:  # too many watch, so the service answered at once
                time.sleep(min(early, deadline - now))
                pause = min(LONGEST_LOOK, 2 * pause)
        return self

    def _look(self, wait: float) -> None:
        query = {"wait": round(wait, 3)} if wait else {}
        read_timeout = wait + (LATE if wait else self._transport.timeout)
        path = path_of(self.id)
        self._see(self._transport.request("GET", path, params=query, read_timeout=read_timeout, retries=0))

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return what the task returned. Raises JobFailed, JobRevoked and WaitTimeout."""
        self.wait(timeout)
        if self.state == "REVOKED":
            raise JobRevoked(self)
        if self.state == "FAILURE":
            raise JobFailed(self)
        return self.document["task_result"]

    def events(self) -> Iterator["ClientJob"]:
        """Yield the job as it is and after each change, last when it has ended; a lost connection is taken up again.

        Raises NotFound when the job is deleted, and NoAnswer when the service is away for longer than the client's
        `patience`.
        """
        patience = Patience(self._transport.patience)
        last_id = ""
        while True:
            try:
                with self._transport.stream(f"{path_of(self.id)}/events", last_id) as response:
                    for event in EventSource(response).iter_sse():
                        patience.found()
                        last_id = event.id
                        if event.event == "gone":
                            raise NotFound(404, {"title": "Not Found", "detail": f"job {self.id} was deleted"})
                        if event.event in ("job", "end"):
                            document = json.loads(event.data)
                            self._see(document)
                            yield ClientJob(self._transport, document)
                        if event.event == "end":
                            return
                patience.lost(NoAnswer("the event stream ended before the job did"))
            except (NoAnswer, Unavailable) as error:
                patience.lost(error)

    # -- moving it ---------------------------------------------------------------------------------------------------

    def cancel(self) -> Self:
        """Cancel the job: a waiting one is REVOKED at once, a running one when its worker has ended it.

        Raises Conflict when it has ended.
        """
        try:
            self._see(self._transport.request("POST", f"{path_of(self.id)}/cancel"))
        except Conflict as error:
            self.refresh()
            # Where an answer was lost, it may be this very call that has ended the job.
            if not (error.is_repeated and (self.state == "REVOKED" or self.cancel_requested_at)):
                raise
        return self

    def retry(self, *, args: list[Any] | None = None, kwargs: Mapping[str, Any] | None = None) -> Self:
        """Run the ended job again, with its arguments or those given in place of them. Raises Conflict.

        It is this attempt, as it was last seen, that is tried again: once, whatever happens to the answer.
        """
        attempt = self.attempt
        edited = {name: value for name, value in (("args", args), ("kwargs", kwargs)) if value is not None}
        query = {"attempt": attempt}
        try:
            self._see(self._transport.request("POST", f"{path_of(self.id)}/retry", json=edited, params=query))
        except Conflict as error:
            self.refresh()
            if not (error.is_repeated and self.attempt > attempt):
                raise
        return self


def path_of(job_id: str) -> str:
    """Return where a job is."""
    return f"tasks/{quote(job_id, safe='')}"


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _error(document: Mapping[str, Any] | None) -> JobError | None:
    return None if document is None else JobError(*(document.get(name) for name in JobError.__slots__))


def _attempt(document: Mapping[str, Any]) -> Attempt:
    return Attempt(
        attempt=document["attempt"],
        state=document["state"],
        worker=document["worker"],
        started_at=_moment(document["started_at"]),
        finished_at=_moment(document["finished_at"]),
        error=_error(document["error"]),
    )
