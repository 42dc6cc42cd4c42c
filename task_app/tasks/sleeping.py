"""Tasks that only take time."""

import time
from typing import Annotated

from celery import shared_task
from marshmallow.validate import Range

Seconds = Annotated[float, Range(min=0, max=3600)]


@shared_task
def block(seconds: Seconds = 5) -> None:
    """Keep a worker busy and return nothing."""
    time.sleep(seconds)


@shared_task
def sleep_task(seconds: Seconds = 10) -> str:
    """Sleep and say that it is done."""
    time.sleep(seconds)
    return "Task completed"
