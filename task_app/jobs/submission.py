"""What is asked for when a job is submitted."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

#: Priorities are 0 to 9, and 9 goes first, whatever a broker makes of the numbers.
HIGHEST_PRIORITY = 9

#: The key in a row's `message` that says what a job waits for, until what it waits for has sent it its input.
AWAITS = "awaits"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request to run a task, complete enough to make its row and, later and repeatedly, its message.

    `args` and `kwargs` are JSON texts already, because the row keeps them to the letter. `queue` and `priority` left
    None are decided by the routing of the task. `message` holds whatever else the Celery message carries, as JSON
    values.
    """

    task: str
    args: str = "[]"
    kwargs: str = "{}"
    id: str | None = None
    queue: str | None = None
    priority: int | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    tags: tuple[str, ...] = ()
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    retries: int = 0
    message: dict[str, Any] = field(default_factory=dict)


class Sender(NamedTuple):
    """The running job that sends another one: which attempt at it, and when that was claimed."""

    job_id: str
    attempt: int
    claimed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A job as the publisher needs it: everything that goes into its message, and its turn."""

    id: str
    task: str
    args: str
    kwargs: str
    queue: str
    priority: int
    attempt: int
    retries: int
    expires_at: datetime | None
    parent_id: str | None
    root_id: str | None
    group_id: str | None
    message: str | None
    dispatch_at: datetime | None  # when it became due; its place among those that wait
