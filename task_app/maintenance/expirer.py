"""Revokes waiting jobs that have expired, also where no worker serves their queue."""

from ..jobs import service

BATCH = 200


class Expirer:
    """A worker that gets an expired job revokes it as well; this is for those that no worker gets."""

    name = "expirer"
    pause = 1.0

    def run(self) -> int:
        """Revoke up to a batch of them."""
        return service.end_expired(BATCH)
