"""The simplest task, to copy."""

import time
from typing import Annotated

from celery import shared_task
from marshmallow.validate import Range


@shared_task
def add(a: int, b: int, delay: Annotated[float, Range(min=0, max=3600)] = 0) -> int:
    """Add two numbers, after a delay in seconds."""
    time.sleep(delay)
    return a + b
