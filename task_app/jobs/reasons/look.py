"""One job, and what is asked about it to say why it waits."""

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from .. import queue_control, workers
from ..queue_control import Pause
from ..states import WaitReason
from ..view import JobView
from ..wording import Ref, Sentence
from ..workers import Watch, WorkerState, WorkerView
from .words import Cause, Explanation


class Look:
    """One job, and what is asked about it, each at most once."""

    def __init__(
        self, connection: Connection, job: JobView, now: datetime, watch: Watch, rate_limit: str | None = None
    ) -> None:
        self.connection = connection
        self.job = job
        self.now = now
        self.watch = watch
        self.rate_limit = rate_limit
        self.queue = Ref("queue", job.queue)

    @cached_property
    def workers(self) -> list[WorkerView]:
        """All workers on record, the latest first."""
        watch = self.watch
        return workers.overview(
            self.connection,
            interval=watch.interval,
            timeout=watch.timeout,
            patience=watch.patience,
            queue=self.job.queue,
        )

    @cached_property
    def living(self) -> list[WorkerView]:
        """Workers that may well be alive, and processes that only maintain: each of them dispatches and rescues."""
        return [worker for worker in self.workers if worker.state not in (WorkerState.DEAD, WorkerState.STOPPED)]

    @cached_property
    def listeners(self) -> list[WorkerView]:
        """Those of the living that take jobs from this job's queue."""
        return [worker for worker in self.living if self.job.queue in worker.queues]

    @cached_property
    def paused(self) -> Pause | None:
        """Since when its queue is paused, and by whom."""
        return queue_control.paused(self.connection).get(self.job.queue)

    def says(
        self, cause: Cause, *sentences: Sentence, safe: bool = False, facts: dict[str, Any] | None = None
    ) -> Explanation:
        """Make the explanation, with what is true of every waiting job."""
        job, notes, facts = self.job, list(sentences), {"queue": self.job.queue, **(facts or {})}
        if job.expires_at is not None:
            facts["expires_at"] = job.expires_at
            late = job.expires_at <= self.now
            notes.append(
                ("It has expired and is revoked in a moment",)
                if late
                else ("It is revoked if no worker has started it by ", job.expires_at)
            )
        return Explanation(
            reason=WaitReason(job.waiting_for(self.now) or WaitReason.DISPATCH),
            cause=cause,
            sentences=tuple(notes),
            now=self.now,
            facts=facts,
            safe=safe,
        )


def busy_in(worker: WorkerView) -> int:
    """Return how many of a worker's processes are busy."""
    return min(len(worker.running), worker.concurrency)


def listed(found: Sequence[WorkerView]) -> list[dict[str, Any]]:
    """Return workers as facts."""
    return [
        {"worker": worker.name, "state": worker.state, "busy": busy_in(worker), "slots": worker.concurrency}
        for worker in found
    ]


def paused_since(look: Look, paused: Pause) -> Sentence:
    """Say that the job's queue is paused."""
    by = f" by {paused.by}" if paused.by else ""
    return ("Queue ", look.queue, " has been paused since ", paused.at, by)
