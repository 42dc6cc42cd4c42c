"""Workers: who lives, what they hold, and what maintenance they run."""

from flask import render_template, request

from ..jobs import service
from ..jobs.view import JobView
from ..jobs.workers import WorkerState, WorkerView
from .blueprint import blueprint
from .links import here_with
from .live import begin

MEANINGS = {
    WorkerState.ALIVE: "",
    WorkerState.WEDGED: "It beats and has room, but takes nothing although its queues hold jobs.",
    WorkerState.UNKNOWN: "It has missed heartbeats; too few to give it up.",
    WorkerState.DEAD: "It has been silent for so long that its jobs were given to others.",
    WorkerState.STOPPED: "It ended in order.",
}


@blueprint.route("/workers")
def workers() -> str:
    """Show every worker that has not stopped."""
    begin("workers")
    shows_stopped = request.args.get("stopped") == "true"
    only_queue = request.args.get("queue")
    found = [
        worker
        for worker in service.worker_views()
        if (shows_stopped or worker.stopped_at is None) and (only_queue is None or only_queue in worker.queues)
    ]
    return render_template(
        "dashboard/workers.html",
        workers=found,
        meanings=MEANINGS,
        jobs_of=_jobs_of(found),
        shows_stopped=shows_stopped,
        only_queue=only_queue,
        other_url=here_with(stopped=None if shows_stopped else "true"),
    )


def _jobs_of(workers: list[WorkerView]) -> dict[str, list[JobView]]:
    """Return the jobs that run in each worker, in one look."""
    known = service.get_many([job_id for worker in workers for job_id in worker.running])
    return {worker.id: [known[job_id] for job_id in worker.running if job_id in known] for worker in workers}
