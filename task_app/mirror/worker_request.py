"""A message that a worker has taken, on its way to the pool."""

from datetime import UTC, datetime

from celery.worker.request import Request


class JobRequest(Request):
    """Celery's request, which does not remember the ids of expired jobs.

    A worker would revoke such a job for ever, also when a person has started it again since.
    """

    def maybe_expire(self) -> bool:
        """Say whether the message has expired."""
        return self.expires is not None and datetime.now(UTC) > self.expires.astimezone(UTC)
