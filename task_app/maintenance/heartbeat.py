"""Says that this process lives, what it holds and what its services did."""

import os
import socket
from collections.abc import Iterable
from typing import Any

from celery.worker import state
from flask import Flask

from ..jobs import workers
from ..jobs.runtime import runtime
from ..jobs.workers import Beat, WorkerCard
from ..mirror.intake import intake
from ..version import __version__
from .memory import memory_of, pool_of
from .runner import Runner

#: The pool of a process that only maintains.
NO_POOL = "maintenance"
#: Memory is looked at with every so many beats: it changes slowly, and a look costs more than a beat.
BEATS_PER_LOOK = 5


class Heartbeat:
    """Writes this process's row: once when it starts, then every `HEARTBEAT_INTERVAL` seconds.

    `worker` is None in a process that runs maintenance alone.
    """

    name = "heartbeat"

    def __init__(self, app: Flask, worker_id: str, worker: Any = None) -> None:
        self.pause: float = app.config["HEARTBEAT_INTERVAL"]
        self._id = worker_id
        self._worker = worker
        self._runners: Iterable[Runner] = ()
        self._taken = 0
        self._beats = 0
        self._memory: int | None = None
        # What it is for. A queue that it leaves while that is paused, it deselects.
        self._queues = sorted(worker.app.amqp.queues.consume_from) if worker else []

    def speak_for(self, runners: Iterable[Runner]) -> None:
        """Tell with each beat what these do."""
        self._runners = runners

    def run(self) -> int:
        """Beat; register first if the row isn't there."""
        running, prefetched = held_requests()
        taken = intake.count
        if self._beats % BEATS_PER_LOOK == 0:
            self._memory = memory_of([os.getpid(), *(pool_of(self._worker) if self._worker else ())])
        self._beats += 1
        said = Beat(
            running=running,
            prefetched=prefetched,
            took_messages=taken > self._taken,
            newest=intake.newest(),
            services={runner.name: runner.diary() for runner in self._runners},
            memory=self._memory,
        )
        with runtime().engine.connect() as connection:
            if not workers.beat(connection, self._id, said):
                workers.register(connection, self._card())
        self._taken = taken
        return 1

    def _card(self) -> WorkerCard:
        worker, host = self._worker, socket.gethostname()
        return WorkerCard(
            id=self._id,
            name=worker.hostname if worker else f"maintenance@{host}",
            host=host,
            pid=os.getpid(),
            version=__version__,
            pool=worker.pool_cls.__module__.rpartition(".")[2] if worker else NO_POOL,
            concurrency=(worker.concurrency or 1) if worker else 0,
            queues=self._queues,
        )


def held_requests() -> tuple[list[str], list[str]]:
    """Return the ids of the jobs that run in this worker's pool, and of those it has only taken from the broker."""
    while True:
        try:
            running = {request.id for request in state.active_requests}
            return sorted(running), sorted(set(state.requests) - running)
        except RuntimeError:
            continue  # the worker's main thread changed a set while it was read
