"""A task that deletes old jobs, for schedules of one's own.

Maintenance deletes jobs by itself when `KEEP_…` says so; this is for other limits, at a time when nobody else works.
"""

import time
from datetime import timedelta
from typing import Annotated, Literal

from celery import shared_task
from marshmallow.validate import Length, Range

from ..jobs import service
from ..jobs.runtime import utcnow
from ..jobs.states import FINAL
from ..mirror.progress import report_progress

State = Literal["SUCCESS", "FAILURE", "REVOKED"]

#: Jobs deleted at once, and the pause after them: on SQLite nobody else writes meanwhile.
BATCH, PAUSE = 200, 0.05


@shared_task(public=False)
def prune(
    older_than_days: Annotated[float, Range(min=0, min_inclusive=False, max=36_500)],
    states: Annotated[list[State] | None, Length(min=1)] = None,
) -> dict[str, int]:
    """Delete jobs that ended so long ago, for good.

    Not public: whoever may submit jobs may not delete any. It comes from a schedule, or from Python.
    """
    if not older_than_days > 0:
        raise ValueError("older_than_days must be more than 0")
    before = utcnow() - timedelta(days=older_than_days)
    deleted = dict.fromkeys(states or map(str, FINAL), 0)
    for state in deleted:
        while number := service.prune(state, before, BATCH):
            deleted[state] += number
            report_progress(sum(deleted.values()), message=f"{state} deleted")
            time.sleep(PAUSE)
    return deleted
