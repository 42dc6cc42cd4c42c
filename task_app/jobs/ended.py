"""The jobs that ended in a window of time and meet a filter: little of each, for figures that rollups don't have."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from . import lists
from .filters import Filter
from .lists import Place
from .models import Job
from .queries import CHUNK
from .runtime import runtime
from .states import FINAL

_c = Job.__table__.c
_READ = [
    _c[name]
    for name in (
        *("id", "task", "queue", "state", "attempt", "error_type"),
        *("created_at", "due_at", "published_at", "started_at", "finished_at"),
    )
]

#: Jobs that are found at most, and steps of up to `lists.REACH` jobs that are looked at for them.
MOST, STEPS = 10_000, 200
#: Who was submitted longer before the window isn't looked for.
LONGEST = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An ended job: its last attempt."""

    id: str
    task: str
    queue: str
    state: str
    error: str | None  # type of the error of the last attempt that failed
    finished_at: datetime
    wait: float | None  # seconds, as in rollups; None: it was never started
    run: float | None


def ended(
    wanted: Filter, start: datetime, end: datetime, *, most: int = MOST, steps: int = STEPS
) -> tuple[list[Ended], bool]:
    """Return jobs that ended from `start` to before `end`, newest first; False: these are not all, but the newest.

    Needs an app context.
    """
    wanted = replace(wanted, finished_after=start, finished_before=end, created_after=start - LONGEST)
    found: list[Ended] = []
    after: Place | None = None
    with runtime().engine.connect() as connection:
        for _ in range(steps):
            places, after = lists.places(connection, wanted, limit=min(CHUNK, most - len(found)), after=after)
            found += _read(connection, [job_id for _, job_id in places])
            if after is None or len(found) >= most:
                break
    return found, after is None


def _read(connection: Connection, job_ids: list[str]) -> list[Ended]:
    """Read the jobs, but for those that were deleted or run again meanwhile."""
    rows = connection.execute(select(*_READ).where(_c.id.in_(job_ids), _c.state.in_(FINAL))).all() if job_ids else ()
    return [
        Ended(
            id=row.id,
            task=row.task,
            queue=row.queue,
            state=row.state,
            error=row.error_type,
            finished_at=row.finished_at,
            # From when on it could have run: see `rolling`.
            wait=_seconds((row.due_at or row.created_at) if row.attempt == 1 else row.published_at, row.started_at),
            run=_seconds(row.started_at, row.finished_at),
        )
        for row in rows
        if row.finished_at is not None
    ]


def _seconds(begin: datetime | None, end: datetime | None) -> float | None:
    return None if begin is None or end is None else max(0.0, (end - begin).total_seconds())
