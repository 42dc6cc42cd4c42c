"""What the mirror reads from a Celery request."""

from typing import Any


def attempt_of(request: Any) -> int:
    """Return which attempt a request is for; a message of a foreign producer is for the first."""
    return int(getattr(request, "job_attempt", None) or 1)
