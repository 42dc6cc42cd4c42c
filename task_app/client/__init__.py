"""Jobs from another program, over HTTP: `JobsClient`. See docs/client.md.

It imports nothing else of this package, so it can be used where neither Flask nor Celery is wanted.

| file | holds |
|---|---|
| `client` | `JobsClient`: submit, list, count |
| `job` | `ClientJob`: a job as it was last seen, and what one can do with it |
| `files` | a file that the service keeps |
| `transport` | requests, what of them is tried again, and for how long |
| `errors` | what can go wrong |
"""

try:
    import httpx
    import httpx_sse
except ImportError as error:  # pragma: no cover - seen by a test in a process of its own
    raise ImportError(f"task_app.client needs httpx and httpx-sse: pip install 'task-app[client]' ({error})") from error

from .client import JobsClient, TaskType
from .errors import (
    Conflict,
    InvalidRequest,
    JobFailed,
    JobRevoked,
    JobsError,
    NoAnswer,
    NotAllowed,
    NotFound,
    Problem,
    Unavailable,
    WaitTimeout,
)
from .files import FileInfo
from .job import Attempt, ClientJob, JobError, Progress

__all__ = [
    "Attempt",
    "ClientJob",
    "Conflict",
    "FileInfo",
    "InvalidRequest",
    "JobError",
    "JobFailed",
    "JobRevoked",
    "JobsClient",
    "JobsError",
    "NoAnswer",
    "NotAllowed",
    "NotFound",
    "Problem",
    "Progress",
    "TaskType",
    "Unavailable",
    "WaitTimeout",
    "httpx",
    "httpx_sse",
]
