"""A task that fails at first, to see retries at work."""

from typing import Annotated

from celery import Task, shared_task
from marshmallow.validate import Range


class FailedOnPurpose(Exception):
    """The failure that was asked for."""


@shared_task(bind=True, autoretry_for=(FailedOnPurpose,), retry_backoff=1, retry_backoff_max=30, max_retries=10)
def flaky(self: Task, failures: Annotated[int, Range(min=0, max=10)] = 2) -> str:
    """Fail some times, then succeed.

    The pauses between are random, of up to 1, 2, 4 … 30 seconds (exponential backoff with jitter).
    """
    tries = self.request.retries + 1
    if tries <= failures:
        raise FailedOnPurpose(f"failure {tries} of {failures}, as asked for")
    return f"succeeded after {failures} failures"
