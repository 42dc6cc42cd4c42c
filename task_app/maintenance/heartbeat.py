"""Says that this worker lives and what it holds."""

import os
import socket
from typing import Any

from celery.worker import state
from flask import Flask

from ..jobs import workers
from ..jobs.runtime import runtime
from ..jobs.workers import WorkerCard
from ..version import __version__


class Heartbeat:
    """Writes this worker's row: once when it starts, then every `HEARTBEAT_INTERVAL` seconds."""

    name = "heartbeat"

    def __init__(self, app: Flask, worker_id: str, worker: Any) -> None:
        self.interval: float = app.config["HEARTBEAT_INTERVAL"]
        self._id = worker_id
        self._worker = worker

    def run(self) -> None:
        """Beat; register first if the row isn't there."""
        running, prefetched = held_requests()
        with runtime().engine.connect() as connection:
            if not workers.beat(connection, self._id, running=running, prefetched=prefetched):
                workers.register(connection, self._card())

    def _card(self) -> WorkerCard:
        worker = self._worker
        return WorkerCard(
            id=self._id,
            name=worker.hostname,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            pool=worker.pool_cls.__module__.rpartition(".")[2],
            concurrency=worker.concurrency or 1,
            queues=sorted(worker.app.amqp.queues.consume_from),
        )


def held_requests() -> tuple[list[str], list[str]]:
    """Return the ids of the jobs that run in this worker's pool, and of those it has only taken from the broker."""
    while True:
        try:
            running = {request.id for request in state.active_requests}
            return sorted(running), sorted(set(state.requests) - running)
        except RuntimeError:
            continue  # the worker's main thread changed a set while it was read
