"""A publisher without a broker: rows are the queue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from flask import Flask
from kombu import Producer

from ..jobs.submission import Outgoing, Submission
from ..mirror.publisher import CeleryPublisher


class RowsPublisher(CeleryPublisher):
    """Makes each message, so that it is noticed when none can be made of a job, and sends it to nobody."""

    def __init__(self, celery: Celery, flask_app: Flask, on_publish: Callable[[str], None] | None = None) -> None:
        """`on_publish` is called with the id of each job that was published."""
        super().__init__(celery, flask_app)
        self._on_publish = on_publish

    def publish(self, job: Outgoing) -> None:
        """Make the message. Raises Unpublishable."""
        with self._reported():
            self.message_of(job)
        if self._on_publish is not None:
            self._on_publish(job.id)

    def message_of(self, job: Outgoing) -> dict[str, Any]:
        """Return the headers and properties of the message of a job, and what its body has beside the arguments."""
        caught = _Catcher()
        self._send(job, caught)
        return caught.message

    @contextmanager
    def together(self) -> Iterator[None]:
        """Do nothing: there is no connection to save."""
        yield

    def refusal(self) -> str | None:
        """Return None: what isn't there can't be away."""
        return None

    def is_doubtful(self) -> bool:
        """Say no."""
        return False

    def depth(self, queue: str) -> int:
        """Return 0: nothing waits on a broker."""
        return 0

    def _on_the_wire(self, priority: int) -> int:
        return priority


class EndedPublisher(RowsPublisher):
    """Of an app whose test has ended. Celery keeps the app as its default one, and a later test may know no other."""

    def route(self, submission: Submission) -> Submission:
        """Refuse, before anything is stored. Raises RuntimeError."""
        problem = "the app of an earlier test would take it; let this test ask for the fixture jobs, or task_app"
        raise RuntimeError(f"{submission.task} can't be submitted: {problem}")


class _Catcher(Producer):
    """Takes one message, and has no channel to send it."""

    message: dict[str, Any]

    def __init__(self) -> None:
        """Connect to nothing."""

    def publish(self, body: Any, *args: Any, **properties: Any) -> None:
        """Keep what a worker's request is made from."""
        _, _, embedded = body
        kept = {key: properties.get(key) for key in ("reply_to", "correlation_id")}
        delivery = {key: properties.get(key) for key in ("exchange", "routing_key", "priority")}
        self.message = {
            **properties["headers"],
            **embedded,
            **kept,
            "delivery_info": {**delivery, "redelivered": False},
        }
