"""Why is this job not running? And if it runs: is its worker well?

`JobView.waiting_for` says in a word what the row alone tells. Here workers, queues and relatives are asked as well, a
handful of index look-ups for one job: for a job's page and its like, not for lists. An answer is a sentence for people
and facts for programs; *unknown* is a legal one.
"""

from datetime import datetime

from sqlalchemy import Connection

from .. import states
from ..view import JobView
from ..workers import Watch
from .blocked import why_blocked
from .in_table import why_in_table
from .look import Look
from .on_broker import why_on_broker
from .running import how_it_runs
from .words import Cause, Explanation

__all__ = ["Cause", "Explanation", "explain", "explain_running"]


def explain(
    connection: Connection, job: JobView, now: datetime, *, watch: Watch, rate_limit: str | None = None
) -> Explanation | None:
    """Say why a job is not running; None when it runs or has ended. `rate_limit` is that of its task."""
    if not states.is_waiting(job.state):
        return None
    look = Look(connection, job, now, watch, rate_limit)
    if job.blocked_by is not None:
        return why_blocked(look)
    if job.published_at is not None:
        return why_on_broker(look)
    return why_in_table(look)


def explain_running(connection: Connection, job: JobView, now: datetime, *, watch: Watch) -> Explanation | None:
    """Say how the run of a job is; None when it doesn't run."""
    return how_it_runs(Look(connection, job, now, watch)) if states.is_running(job.state) else None
