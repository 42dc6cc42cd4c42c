"""Tasks that report how far they are."""

import random
import time
from typing import Annotated, Any

from celery import shared_task
from flask import current_app
from marshmallow.validate import Range

from ..mirror.progress import report_progress

VERBS = ["Sorting", "Counting", "Folding", "Polishing", "Watering", "Tuning"]
ADJECTIVES = ["seven", "quiet", "striped", "borrowed", "tiny", "midnight"]
NOUNS = ["postcards", "lighthouses", "teapots", "violins", "cabbages", "umbrellas"]


@shared_task
def process(
    total: Annotated[int, Range(min=0, max=100_000)],
    step_seconds: Annotated[float, Range(min=0, max=60)] = 0.1,
) -> dict[str, int]:
    """Take a number of steps and report each."""
    for step in range(1, total + 1):
        time.sleep(step_seconds)
        report_progress(step, total)
    return {"current": total, "total": total}


@shared_task
def long_task() -> dict[str, Any]:
    """Take 10 to 50 steps and say what each is about."""
    total = random.randint(10, 50)  # noqa: S311 - nothing secret here
    for step in range(1, total + 1):
        words = [random.choice(words) for words in (VERBS, ADJECTIVES, NOUNS)]  # noqa: S311
        report_progress(step, total, " ".join(words))
        time.sleep(current_app.config["CLASSIC_STEP_SECONDS"])
    return {"current": 100, "total": 100, "status": "Task completed!", "result": 42}
