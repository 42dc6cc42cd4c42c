"""What the mirror reads from a Celery request."""

from datetime import datetime
from typing import Any

from ..jobs import transitions
from ..jobs.runtime import utcnow


def is_limit(value: Any) -> bool:
    """Say whether a value can be a time limit, in seconds. A pool dies of any other."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def guarded_attempt(request: Any) -> int | None:
    """Return the attempt an outcome is for; None when the request is no running one.

    Celery also records outcomes of jobs that were never sent (the rest of a failed chain), with a request that it makes
    up from the signature.
    """
    if getattr(request, "job_attempt", None) or getattr(request, "claimed", False):
        return attempt_of(request)
    return None


def attempt_of(request: Any) -> int:
    """Return which attempt a request is for; a message of a foreign producer is for the first."""
    return int(getattr(request, "job_attempt", None) or 1)


def claim_of(request: Any) -> datetime | None:
    """Return when this process has claimed the job of a request; None in a process that has not (a worker's parent)."""
    return getattr(request, "started_at", None) if getattr(request, "claimed", False) else None


def line_of(request: Any, state: str, error: dict[str, Any] | None) -> str:
    """Write the running attempt of a request, which ends now, as a line of its job's history."""
    return transitions.history_line(
        attempt=attempt_of(request),
        state=state,
        worker=getattr(request, "hostname", None),
        started_at=claim_of(request),
        finished_at=utcnow(),
        error=error,
    )
