"""What can go wrong, as one family of exceptions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import ClientJob


class JobsError(Exception):
    """Base of all errors of the client."""


class NoAnswer(JobsError):
    """The service could not be reached, or did not answer, however often it was tried."""


class Problem(JobsError):
    """The service answered with an error. The fields are those of its problem document (RFC 9457)."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.document = dict(document)
        self.title = str(document.get("title") or f"HTTP status {status}")
        self.detail: str | None = document.get("detail")
        self.type: str | None = document.get("type")
        self.instance: str | None = document.get("instance")
        errors = document.get("errors")
        #: Messages by field, nested like what was sent: `{"kwargs": {"a": ["Not a valid integer."]}}`.
        self.errors: dict[str, Any] = errors if isinstance(errors, dict) else {}
        #: Seconds after which the service wants to be asked again.
        self.retry_after = 0.0
        #: The answer to an earlier try was lost: that one may have been carried out.
        self.is_repeated = False
        super().__init__(status, document)

    def __str__(self) -> str:
        text = f"{self.status} {self.title}"
        text += f": {self.detail}" if self.detail else ""
        return f"{text} {self.errors}" if self.errors else text


class InvalidRequest(Problem):
    """What was asked for can't be right: 400, 413, 415 or 422."""


class NotAllowed(Problem):
    """A key is needed, this one is wrong, or it may not do this: 401 or 403."""


class NotFound(Problem):
    """There is no such job or file: 404."""


class Conflict(Problem):
    """The job's state forbids it, or the id is taken: 409."""


class Unavailable(Problem):
    """The service can't do it now, however often it was tried: 429, 502, 503 or 504."""


class WaitTimeout(JobsError, TimeoutError):
    """The time is over and the job has not ended. `job` is what was last seen of it; it goes on."""

    def __init__(self, job: "ClientJob", timeout: float) -> None:
        super().__init__(job, timeout)
        self.job = job
        self.timeout = timeout

    def __str__(self) -> str:
        reason = f" and waits for {self.job.waiting_for}" if self.job.waiting_for else ""
        return f"job {self.job.id} ({self.job.task}) is {self.job.state}{reason} after {self.timeout:g} s"


class JobFailed(JobsError):
    """The job has failed. `type`, `message` and `traceback` are those of the task's error."""

    def __init__(self, job: "ClientJob") -> None:
        super().__init__(job)
        self.job = job
        self.type = job.error.type if job.error else None
        self.message = job.error.message if job.error else None
        self.traceback = job.error.traceback if job.error else None

    def __str__(self) -> str:
        return f"job {self.job.id} ({self.job.task}) ended as {self.job.state}: {self.type}: {self.message}"


class JobRevoked(JobFailed):
    """The job was cancelled, or expired before it could start."""


def problem_of(status: int, document: Mapping[str, Any]) -> Problem:
    """Return the error for an answer."""
    return _KINDS.get(status, Problem)(status, document)


_KINDS: dict[int, type[Problem]] = {
    **dict.fromkeys((400, 413, 415, 422), InvalidRequest),
    **dict.fromkeys((401, 403), NotAllowed),
    404: NotFound,
    409: Conflict,
    **dict.fromkeys((429, 502, 503, 504), Unavailable),
}
