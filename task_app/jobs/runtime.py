"""What the kernel keeps per app, and its clock."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from flask import current_app
from sqlalchemy import Engine

from .feed import Feed
from .lookout import Lookout
from .marks import Marks
from .submission import Outgoing, Submission
from .workers import Watch


class Publisher(Protocol):
    """What the service needs of the broker; the mirror implements it with Celery."""

    def route(self, submission: Submission) -> Submission:
        """Fill in what the task's own options and the routing decide: queue, priority, limits."""

    def publish(self, job: Outgoing) -> None:
        """Send the message of a job.

        Raises BrokerUnavailable within the broker timeout, MessageRefused, and Unpublishable.
        """

    def together(self) -> AbstractContextManager[None]:
        """Send what is published within in one go at the end, where the broker can.

        Raises BrokerUnavailable: then none of it counts as sent.
        """

    def refusal(self) -> str | None:
        """Return why the broker is not to be tried now, because it was away a moment ago; else None."""

    def is_doubtful(self) -> bool:
        """Say whether the broker could not be reached when it was last tried."""

    def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue. Raises BrokerUnavailable."""


@dataclass(slots=True)
class JobRuntime:
    """What the kernel keeps per app, under `app.extensions["jobs"]`."""

    engine: Engine
    marks: Marks
    feed: Feed
    lookout: Lookout
    arguments_limit: int  # bytes
    dispatch_grace: timedelta  # how long the submitting process has to publish before a dispatcher does
    watch: Watch
    publisher: Publisher | None = None
    #: Called after an outcome was written that Celery did not write: who waits for this job must learn of it.
    after_end: Callable[[str], None] | None = None


def runtime() -> JobRuntime:
    """Return the kernel's part of the current app."""
    found: JobRuntime = current_app.extensions["jobs"]
    return found


def utcnow() -> datetime:
    """Return this host's clock, in UTC."""
    return datetime.now(UTC)
