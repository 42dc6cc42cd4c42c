"""The first page: how the service is doing."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import render_template, request, url_for

from ..jobs import service
from ..jobs.lists import COUNT_LIMIT, Filter
from ..jobs.queues import QueueView
from ..jobs.runtime import utcnow
from ..jobs.states import FINAL, State
from ..jobs.wording import number_of
from ..jobs.workers import WorkerState, WorkerView
from .blueprint import blueprint
from .history import charts, tasks
from .live import begin
from .windows import window_of

FAILURES = 8
LIVING = (WorkerState.ALIVE, WorkerState.WEDGED)


@dataclass(frozen=True, slots=True)
class Tile:
    """How many jobs are so, and where they are listed."""

    label: str
    count: int
    url: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that is wrong with the service as a whole."""

    title: str
    text: str
    link: str = ""
    url: str | None = None
    is_calm: bool = False


@blueprint.route("/")
def overview() -> str:
    """Show how many jobs are in each state, what happened lately, what waits, who works, and what failed last."""
    begin("overview")
    now = utcnow()
    window = window_of(request.args.to_dict(), now)
    queues = service.queue_views()
    workers = [worker for worker in service.worker_views() if worker.stopped_at is None]
    failed = service.page(Filter(status=State.FAILURE, resolved=False), limit=FAILURES)
    return render_template(
        "dashboard/overview.html",
        tiles=_tiles(service.counts()),
        window=window,
        charts=charts(window, now),
        tasks=tasks(window),
        queues=queues,
        workers=workers,
        failures=failed.jobs,
        notices=list(_notices(queues, workers)),
        count_limit=COUNT_LIMIT,
    )


def _tiles(counts: dict[str, int]) -> list[Tile]:
    running = sum(number for state, number in counts.items() if state not in (State.PENDING, State.RETRY, *FINAL))

    def tile(label: str, number: int, status: str, tone: str = "") -> Tile:
        return Tile(label, min(number, COUNT_LIMIT), url_for("dashboard.jobs", status=status), tone if number else "")

    return [
        tile("waiting", counts[State.PENDING] + counts[State.RETRY], "waiting"),
        tile("running", running, "running", "run"),
        tile("succeeded", counts[State.SUCCESS], State.SUCCESS, "ok"),
        tile("failed", counts[State.FAILURE], State.FAILURE, "bad"),
        tile("revoked", counts[State.REVOKED], State.REVOKED),
    ]


def _notices(queues: list[QueueView], workers: list[WorkerView]) -> Iterator[Notice]:
    """Yield what stands in the way of jobs, the worst first."""
    if service.broker_problem() is not None:
        yield Notice(
            "The broker can't be reached",
            "Jobs are accepted all the same, kept safe in the table, and published when it is back.",
        )
    if not any(worker.queues and worker.state in LIVING for worker in workers):
        yield Notice(
            "No worker is alive",
            "Jobs are accepted and kept safe in the table; they run as soon as a worker is there.",
            "Workers",
            url_for("dashboard.workers", stopped="true"),
        )
        return
    for queue in queues:
        if queue.waiting and not queue.listeners:
            yield Notice(
                f"Nobody listens to queue {queue.name}",
                f"{number_of(queue.waiting, 'job')} in it: kept safe until a worker does.",
                "Its jobs",
                url_for("dashboard.jobs", queue=queue.name, status="waiting"),
            )
    for worker in workers:
        if worker.state is WorkerState.WEDGED:
            yield Notice(
                f"Worker {worker.name} takes no jobs",
                "It lives and has room, but takes nothing although its queues hold jobs.",
                "Workers",
                url_for("dashboard.workers"),
            )
