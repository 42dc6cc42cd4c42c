"""What pages show, in short: enough to tell that one of them has changed."""

from typing import Any

from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict

from ..jobs import family as families
from ..jobs import lists, queries, queues, reasons, rolling, triage, workers
from ..jobs.runtime import runtime, utcnow
from ..jobs.spans import SHORT
from ..jobs.workers import MISSED_BEATS, Watch, WorkerView
from .failures import window_of
from .live import Watching, watches
from .query import LENGTH, read

#: Jobs on the overview.
NEWEST = 10


@watches("overview")
def look_at_overview(args: MultiDict[str, str]) -> Watching:
    """Look at how many jobs are in each state, the newest jobs, the queues, who works, and the newest rollup."""
    watch = runtime().watch

    def look(connection: Connection) -> Any:
        return [
            lists.pulse(connection),
            lists.versions(connection, lists.Filter(), limit=NEWEST),
            _queues(connection, watch),
            [(worker.id, worker.state, len(worker.running)) for worker in _workers(connection, watch)],
            rolling.counted_until(connection, SHORT),
            queries.publish_problem(connection, utcnow()),
        ]

    return None, look


@watches("jobs")
def look_at_jobs(args: MultiDict[str, str]) -> Watching:
    """Look at which jobs are on the page, at their versions, and at the counts beside an unfiltered list."""
    asked = read(args)
    counts = asked.wanted == lists.Filter(status=asked.wanted.status)

    def look(connection: Connection) -> Any:
        shown = lists.versions(connection, asked.wanted, limit=LENGTH, after=asked.after)
        return [shown, lists.pulse(connection) if counts else None]

    return (asked.wanted, asked.after), look


@watches("job")
def look_at_job(args: MultiDict[str, str]) -> Watching:
    """Look at the version of one job, `job_id`, at why it waits, and at its children."""
    job_id = args.get("job_id", "")
    watch = runtime().watch

    def look(connection: Connection) -> Any:
        job = queries.get(connection, job_id)
        if job is None:
            return None
        said = reasons.explain(connection, job, utcnow(), watch=watch) or reasons.explain_running(
            connection, job, utcnow(), watch=watch
        )
        relatives = families.family(connection, job_id)
        states = [(node.id, node.state) for node in relatives.nodes] if relatives else None
        return [job, said and said.cause, states]

    return job_id, look


@watches("failures")
def look_at_failures(args: MultiDict[str, str]) -> Watching:
    """Look at the groups of failures; `window` and `resolved` are those of the page."""
    length = triage.WINDOWS[window_of(args.get("window"))]
    resolved = None if args.get("resolved") == "true" else False

    def look(connection: Connection) -> Any:
        since = None if length is None else utcnow() - length
        return triage.pulse(connection, since, resolved=resolved)

    return (length, resolved), look


@watches("queues")
def look_at_queues(args: MultiDict[str, str]) -> Watching:
    """Look at every queue."""
    watch = runtime().watch
    return None, lambda connection: _queues(connection, watch)


@watches("workers")
def look_at_workers(args: MultiDict[str, str]) -> Watching:
    """Look at every worker: its heartbeat is what the page is about."""
    watch = runtime().watch

    def look(connection: Connection) -> Any:
        return [
            (worker.id, worker.state, worker.running, len(worker.prefetched), worker.heartbeat_at)
            for worker in _workers(connection, watch)
        ]

    return None, look


# Looks are made outside the app context: what they need of it is read when the stream begins.


def _queues(connection: Connection, watch: Watch) -> Any:
    return [queues.document(queue) for queue in queues.overview(connection, MISSED_BEATS * watch.interval)]


def _workers(connection: Connection, watch: Watch) -> list[WorkerView]:
    return workers.overview(connection, interval=watch.interval, timeout=watch.timeout, patience=watch.patience)
