"""Lets its worker leave queues that somebody has paused, and return to those that were resumed."""

from typing import Any

from ..jobs import queue_control
from ..jobs.runtime import runtime


class Pauser:
    """Compares what is paused with what the worker listens to, every half second; one query of a few rows.

    The first look comes before the worker connects: a queue that was paused while it was away is never heard.
    """

    name = "pauser"
    pause = 0.5

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def run(self) -> int:
        """Ask the worker to leave what is paused and to return to what is not; return how many queues."""
        with runtime().engine.connect() as connection:
            paused = queue_control.paused(connection)
        changes: int = self._worker.consumer.listening.leave_out(paused)
        return changes
