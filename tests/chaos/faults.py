"""What goes wrong. A fault strikes, and what it returns undoes it; whatever dies is started again by the supervisor.

Faults of one lane happen one after another, because they share a victim; those of different lanes may overlap.
"""

import random
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import psutil
from sqlalchemy.exc import OperationalError

from task_app.errors import TaskAppError
from task_app.jobs import queue_control
from task_app.jobs.publishing import publish_by_id

from .jobs import LONG
from .world import LOOK, WORKERS, World

Heal = Callable[[], None]
#: How long a fault waits for the moment it likes best, or for what it provokes.
PATIENCE = 30.0
AIM = 10.0
FIRST_HOLD, LAST_HOLD = 1.0, 4.0  # seconds
DOUBLES = 12


class Fault(ABC):
    """One kind of fault."""

    name: ClassVar[str]
    lane: ClassVar[str]

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng

    def aim(self) -> None:  # noqa: B027 - most need no aim
        """Wait for the moment in which there is most to lose; nothing is broken yet."""

    @abstractmethod
    def strike(self) -> Heal | None:
        """Do it; return how to undo it."""

    def _hold(self) -> None:
        """The fault lasts for a while that the seed decides."""
        self.world.stop_all.wait(self.rng.uniform(FIRST_HOLD, LAST_HOLD))

    def _until(self, is_so: Callable[[], object], patience: float = PATIENCE) -> bool:
        deadline = time.monotonic() + patience
        while not is_so():
            if time.monotonic() > deadline or self.world.stop_all.wait(LOOK):
                return False
        return True


class WorkerFault(Fault):
    """One that strikes a worker while it runs a long job; the seed says which worker is looked at first."""

    lane = "worker"
    victim = WORKERS[0]
    victim_id: str | None = None

    def aim(self) -> None:
        """Wait until a worker is busy."""
        names = self.rng.sample(WORKERS, len(WORKERS))
        busy: list[tuple[str, str]] = []

        def look() -> bool:
            known = [(name, self.world.worker_id(name)) for name in names]
            busy[:] = [(name, found) for name, found in known if found and self.world.running(found, LONG)]
            return bool(busy)

        found = self._until(look, AIM)
        self.victim, self.victim_id = busy[0] if found else (names[0], self.world.worker_id(names[0]))


class KillWeb(Fault):
    """kill -9 of the web server, with requests in flight."""

    name, lane = "kill -9 web", "web"

    def strike(self) -> None:
        """Kill it."""
        self.world.kill_member("web")


class KillBeat(Fault):
    """kill -9 of beat."""

    name, lane = "kill -9 beat", "beat"

    def strike(self) -> None:
        """Kill it."""
        self.world.kill_member("beat")


class KillWorker(WorkerFault):
    """kill -9 of a worker and its pool, as a power cut or the kernel's OOM killer on the whole group."""

    name = "kill -9 worker"

    def strike(self) -> None:
        """Kill it."""
        self.world.kill_member(self.victim)


class KillChild(WorkerFault):
    """kill -9 of one process of a worker's pool."""

    name = "kill -9 worker child"

    def strike(self) -> None:
        """Kill one."""
        children = self.world.pool_children(self.victim)
        if children:
            with suppress(psutil.NoSuchProcess):
                self.rng.choice(children).kill()


class StopWorker(WorkerFault):
    """SIGSTOP of a worker until it is given up for dead, then SIGCONT: it comes back and wants to go on."""

    name = "SIGSTOP worker past its lease"

    def strike(self) -> Heal:
        """Stop the whole tree, or only the parent: then its pool works on although nobody beats for it."""
        name, worker_id = self.victim, self.victim_id
        only_parent = self.rng.random() < 0.3
        self._stop(name, only_parent)
        while self.world.parts.nobody_can_write() and not self.world.stop_all.is_set():
            self.world.signal_tree(name, signal.SIGCONT)
            self._stop(name, only_parent)

        def go_on() -> None:
            self.world.stop_all.wait(self.world.lease)
            if worker_id is not None and not self._until(lambda: not self.world.running(worker_id)):
                held = self.world.running(worker_id)
                self.world.book.surprise(f"{name} was stopped for {PATIENCE:g} s and is not given up; it holds {held}")
            self.world.signal_tree(name, signal.SIGCONT)

        return go_on

    def _stop(self, name: str, only_parent: bool) -> None:
        if only_parent:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(self.world.members[name].pid).suspend()
        else:
            self.world.signal_tree(name, signal.SIGSTOP)


class RestartBroker(Fault):
    """kill -9 of the broker, and a start on the messages it has on disk."""

    name, lane = "restart broker", "broker"

    def strike(self) -> None:
        """Restart it."""
        self.world.parts.broker.restart()


class EmptyBroker(Fault):
    """The broker forgets every message."""

    name, lane = "flush broker", "broker"

    def strike(self) -> None:
        """Empty it."""
        self.world.parts.broker.empty()


class FreezeBroker(Fault):
    """SIGSTOP of the broker: it accepts connections and never answers."""

    name, lane = "freeze broker", "broker"

    def strike(self) -> Heal:
        """Stop it for a while."""
        self.world.parts.broker.freeze()

        def thaw() -> None:
            self._hold()
            self.world.parts.broker.thaw()

        return thaw


class RestartDatabase(Fault):
    """kill -9 of the database and a start some seconds later; for SQLite: its write lock is held as long."""

    name, lane = "restart database", "database"

    def strike(self) -> None:
        """Take it away for a while."""
        self.world.parts.database.take_away()
        try:
            self._hold()
        finally:
            self.world.parts.database.give_back()


class DoubleMessages(Fault):
    """The broker delivers messages again: of waiting, running and ended jobs."""

    name, lane = "deliver twice", "messages"

    def strike(self) -> None:
        """Send some again."""
        published = self.world.published()
        for job_id in self.rng.sample(published, min(DOUBLES, len(published))):
            # Not delivered when the database is away just now; there is always another one.
            with self.world.app.app_context(), suppress(TaskAppError, OperationalError):
                publish_by_id(job_id)


class PauseQueue(Fault):
    """Somebody pauses the queue of everything for a while, and resumes it."""

    name, lane = "pause queue", "operator"

    def strike(self) -> None:
        """Pause it for a while."""
        queue = self.world.queue
        self.world.ask(lambda connection: queue_control.pause(connection, queue, "chaos"))
        try:
            self._hold()
        finally:
            self.world.ask(lambda connection: queue_control.resume(connection, queue))


KINDS: tuple[type[Fault], ...] = (
    KillWeb,
    KillBeat,
    KillWorker,
    KillChild,
    StopWorker,
    RestartBroker,
    EmptyBroker,
    FreezeBroker,
    RestartDatabase,
    DoubleMessages,
    PauseQueue,  # new ones last: a seed draws the others as before
)
