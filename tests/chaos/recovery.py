"""How long a fault is felt: until all jobs that ran when it struck, and one submitted right after it, have ended."""

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .python_client import insist
from .workload import Wanted
from .world import World

CANARY = "canary"
#: The canary is urgent: what is measured is the fault, not the queue.
CANARY_PRIORITY = 9
SLOW = 15.0  # seconds


@dataclass
class Watch:
    """One fault and the jobs that show when it is over."""

    fault: str
    began: float
    ids: list[str]
    canary: str | None = None


class Recoveries:
    """Looked at by the watcher thread, filled by the lanes."""

    def __init__(self, world: World) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.slow: list[str] = []  # recoveries worth a look, and what they waited for last
        self._world = world
        self._open: list[Watch] = []
        self._lock = threading.Lock()

    @contextmanager
    def watch(self, fault: str) -> Iterator[Callable[[], None]]:
        """Measure from here. Yields what sends the canary; it is to be called once the fault has struck."""
        watch = Watch(fault, 0.0, self._world.running())
        watch.began = time.monotonic()

        def send_canary() -> None:
            wanted = Wanted(
                id=str(uuid.uuid4()),
                kind=CANARY,
                task="chaos.echo",
                kwargs={"value": 7},
                value=7,
                priority=CANARY_PRIORITY,
            )
            self._world.book.expect(wanted)
            if insist(self._world, lambda: self._submit(wanted)):
                self._world.book.jobs[wanted.id].accepted = True
                watch.ids.append(wanted.id)
                watch.canary = wanted.id
            with self._lock:
                self._open.append(watch)

        yield send_canary

    def _submit(self, wanted: Wanted) -> None:
        self._world.task(wanted.task).apply_async(kwargs=wanted.kwargs, task_id=wanted.id, priority=wanted.priority)

    def look(self) -> None:
        """Close the watches whose jobs have all ended."""
        with self._lock:
            watches = list(self._open)
        for watch in watches:
            left = self._world.unfinished(watch.ids)
            if left:
                watch.ids = left
                continue
            with self._lock:
                if watch not in self._open:
                    continue  # the watcher and the end of the run may look at the same time
                self._open.remove(watch)
            took = time.monotonic() - watch.began
            self.seconds[watch.fault].append(took)
            if took > SLOW:
                last = ["the canary" if job_id == watch.canary else job_id for job_id in watch.ids]
                self.slow.append(f"{watch.fault}: {took:.1f} s until the end of {', '.join(last)}")

    def unrecovered(self) -> list[str]:
        """Return the faults that are still felt."""
        return [watch.fault for watch in self._open]
