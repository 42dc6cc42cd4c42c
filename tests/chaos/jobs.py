"""The tasks of the chaos suite. Each run is on record in the ledger, with its attempt."""

import time
from typing import Any

from celery import current_task, shared_task

from task_app.mirror.request import attempt_of
from task_app.tasks import report_progress

from . import ledger

TICK = "chaos.tick"
LONG = ("chaos.steps", "chaos.deaf")
FAILING = ("chaos.fail", "chaos.fail_next")


class Refused(Exception):
    """What a failing task raises: an error of the task's own, not one of the machinery."""


def _executing(*, retries: bool = False) -> Any:
    request = current_task.request
    return ledger.executing(request.id, attempt_of(request), retries=retries)


@shared_task(name="chaos.echo")
def echo(value: int) -> int:
    """Return the argument."""
    with _executing():
        return value


@shared_task(name="chaos.steps")
def steps(value: int, count: int, pause: float) -> int:
    """Work in steps, and obey a cancel at each."""
    with _executing():
        for step in range(count):
            report_progress(step + 1, count)
            time.sleep(pause)
        return value


@shared_task(name="chaos.deaf")
def deaf(value: int, seconds: float) -> int:
    """Work without ever looking at the job: only a signal ends it early."""
    with _executing():
        time.sleep(seconds)
        return value


@shared_task(name="chaos.fail")
def fail(value: int) -> None:
    """Fail."""
    with _executing():
        raise Refused(f"refused {value}")


@shared_task(name="chaos.retrying", bind=True, max_retries=10)
def retrying(self: Any, value: int, times: int, countdown: float) -> int:
    """Ask for another attempt so many times, then return.

    The end is on record before the retry is asked for: from then on the next attempt may run, rightly.
    """
    again = self.request.retries < times
    with _executing(retries=again):
        pass
    if again:
        raise self.retry(exc=Refused(f"try {self.request.retries}"), countdown=countdown)
    return value


@shared_task(name="chaos.next")
def following(before: int) -> int:
    """Return the result of the step before, and one."""
    with _executing():
        return before + 1


@shared_task(name="chaos.fail_next")
def fail_following(before: int) -> None:
    """Fail as a later step of a chain."""
    with _executing():
        raise Refused(f"refused {before}")


@shared_task(name="chaos.total")
def total(values: list[int]) -> int:
    """Add the results of a chord's parts."""
    with _executing():
        return sum(values)


@shared_task(name=TICK)
def tick() -> None:
    """What beat sends."""
    with _executing():
        return
