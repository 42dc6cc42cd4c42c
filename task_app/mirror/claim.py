"""A running attempt takes its job, and takes it again where the database has forgotten that it did."""

from typing import Any

from sqlalchemy import Connection

from ..jobs import transitions
from . import identity
from .request import attempt_of


def take(connection: Connection, request: Any) -> bool:
    """Claim the job of a request; False for a duplicate or stale message, and for a job that has expired.

    PostgreSQL may forget a claim when it crashes within the second after it: claims don't wait for the disk. The row
    then waits for the same attempt, which nobody else can be running, and the attempt that runs may take it again
    before it writes.
    """
    return transitions.claim(
        connection,
        request.id,
        attempt_of(request),
        worker=request.hostname,
        worker_id=identity.worker_id(),
        now=request.started_at,
    )


def take_again(connection: Connection, request: Any) -> bool:
    """Claim the job of a running request once more, after a write of it was refused."""
    return bool(getattr(request, "claimed", False)) and take(connection, request)
