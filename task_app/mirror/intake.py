"""What this worker has taken from the broker: when last, and how new the newest message of each queue was.

A queue is first in, first out within a priority. So when a newer message has been taken and an older one has not, the
older one is not in the queue any more: that is how lost messages are told from a queue that is merely long.
"""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple


class Bell(NamedTuple):
    """The message header `job_bell`: how a message of ours was sent."""

    queue: str
    priority: int  # 9 first, whatever the wire says
    sent_at: float  # epoch seconds


def bell_of(headers: Mapping[str, Any]) -> Bell | None:
    """Return the header of a message; None for one that a foreign producer has sent."""
    match headers.get("job_bell"):
        case [str(queue), int(priority), int() | float() as sent_at]:
            return Bell(queue, priority, sent_at)
    return None


class Intake:
    """Kept by the worker's parent process. Written by its main thread, read by others."""

    def __init__(self) -> None:
        self.count = 0
        self.ticked_at: float | None = None
        self._newest: dict[str, dict[str, float]] = {}

    def note(self, headers: Mapping[str, Any]) -> None:
        """A message has been taken."""
        self.count += 1
        if bell := bell_of(headers):
            by_priority = self._newest.setdefault(bell.queue, {})
            by_priority[str(bell.priority)] = max(bell.sent_at, by_priority.get(str(bell.priority), 0.0))

    def forget(self, queue: str) -> None:
        """What was taken from a queue went back: it says nothing any more of what should have come before."""
        self._newest.pop(queue, None)

    def tick(self) -> None:
        """The worker's loop goes round; called every second, where there is an event loop."""
        self.ticked_at = time.monotonic()

    def newest(self) -> dict[str, dict[str, float]]:
        """Return, by queue and priority, when the newest message taken was sent (epoch seconds)."""
        return {queue: dict(by_priority) for queue, by_priority in list(self._newest.items())}


#: The intake of this process.
intake = Intake()
