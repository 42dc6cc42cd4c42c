"""What pages show, in short: enough to tell that one of them has changed."""

from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict

from ..jobs import lists, queries, workers
from .live import Watching, watches

#: Jobs on a page that says nothing else, and the newest on the overview.
PAGE, NEWEST = 50, 10
FILTERS = ("status", "task", "queue", "tag", "worker")


@watches("overview")
def look_at_overview(args: MultiDict[str, str]) -> Watching:
    """Look at how many jobs are in each state, the newest jobs, and who works."""
    def look(connection: Connection) -> Any:
        return [
            lists.counts(connection),
            lists.versions(connection, lists.Filter(), limit=NEWEST),
            [(worker.id, worker.state) for worker in workers.overview(
                    connection, interval=watch.interval, timeout=watch.timeout, patience=watch.patience
                )],
        ]

    return None, look


@watches("jobs")
def look_at_jobs(args: MultiDict[str, str]) -> Watching:
    """Look at which jobs are on the page, and at their versions."""
    status, task, queue, tag, worker = (args.get(name) or None for name in FILTERS)
    wanted = lists.Filter(status=status, task=task, queue=queue, tag=tag, worker=worker)
    return wanted, lambda connection: lists.versions(connection, wanted, limit=PAGE)


@watches("job")
def look_at_job(args: MultiDict[str, str]) -> Watching:
    """Look at the version of one job, `job_id`."""
    job_id = args.get("job_id", "")
    return job_id, lambda connection: queries.versions(connection, [job_id])
