"""A message that a worker has taken, on its way to the pool."""

import logging
from datetime import UTC, datetime

from celery.worker import state
from celery.worker.request import Request

from .intake import bell_of

logger = logging.getLogger(__name__)


class JobRequest(Request):
    """Celery's request, which does not remember the ids of expired jobs, and can be given back.

    A worker would revoke an expired job for ever, also when a person has started it again since.
    """

    def maybe_expire(self) -> bool:
        """Say whether the message has expired."""
        return self.expires is not None and datetime.now(UTC) > self.expires.astimezone(UTC)

    @property
    def queue(self) -> str | None:
        """The queue that the message came from; for that of a foreign producer, its routing key, usually the same."""
        bell = bell_of(self.request_dict)
        return bell.queue if bell else self.delivery_info["routing_key"]

    @property
    def was_handed_over(self) -> bool:
        """Whether the pool has it, although no process may have begun."""
        return self._apply_result is not None

    def give_back(self) -> None:
        """Let the broker have the message again. A thread that gets the request all the same drops it."""
        self.request_dict["given_back"] = True
        self.message.reject_log_error(logger, self.connection_errors, requeue=True)
        self.acknowledged = True
        state.task_ready(self)
