"""How the run of a job is: does its worker live, and has somebody asked it to end?"""

from typing import Any

from ..wording import Ref, Sentence, duration
from ..workers import WorkerState, WorkerView
from .look import Look
from .words import Cause, Explanation


def how_it_runs(look: Look) -> Explanation:
    """Say how the run of a job is."""
    job = look.job
    worker = next((worker for worker in look.workers if worker.id == job.worker_id), None)
    cause, sentences = _health(look, worker)
    facts: dict[str, Any] = {"worker": job.worker, "worker_state": worker.state if worker else None}
    if worker is not None:
        facts |= {"heartbeat_at": worker.heartbeat_at, "silent_for": worker.silent_for}
    if job.cancel_requested_at is not None:
        facts["cancel_requested_at"] = job.cancel_requested_at
        sentences.append(("Somebody asked at ", job.cancel_requested_at, " to cancel it"))
        if cause is Cause.RUNS and worker is not None:
            cause = Cause.CANCEL
            sentences = [sentences[-1], _how_it_ends(look, worker)]
    return Explanation(reason=None, cause=cause, sentences=tuple(sentences), now=look.now, facts=facts)


def _health(look: Look, worker: WorkerView | None) -> tuple[Cause, list[Sentence]]:
    name, timeout = Ref("worker", look.job.worker or "?"), duration(look.watch.timeout.total_seconds())
    if worker is None:
        unknown = f"If that stays so, the job is rescued {timeout} after its start"
        return Cause.SILENT, [("Nothing is known of its worker ", name), (unknown,)]
    silence = duration(worker.silent_for)
    rescue = "in a moment" if look.living else "as soon as a worker lives or maintenance runs"
    match worker.state:
        case WorkerState.UNKNOWN:
            patience = f"If it is still silent after {timeout}, the job is rescued"
            return Cause.SILENT, [("Its worker ", name, f" has been silent for {silence}"), (patience,)]
        case WorkerState.DEAD:
            dead = f" has been silent for {silence} and is given up; the job is rescued {rescue}"
            return Cause.GONE, [("Its worker ", name, dead)]
        case WorkerState.STOPPED:
            return Cause.GONE, [("Its worker ", name, f" has stopped; the job is rescued {rescue}")]
    return Cause.RUNS, [("Worker ", name, f" runs it, and said {silence} ago that it lives")]


def _how_it_ends(look: Look, worker: WorkerView) -> Sentence:
    asked_at = look.job.cancel_requested_at or look.now
    if worker.pool != "prefork":
        return (f"The {worker.pool} pool of its worker can't end it from outside: it ends when the task next reports",)
    return ("It is terminated if it has not ended by itself by ", asked_at + look.watch.cancel_grace)
