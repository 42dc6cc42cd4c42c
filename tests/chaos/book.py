"""What the clients were told. The promises are about that, and about nothing else."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from .workload import Wanted


class Answer(StrEnum):
    """What a client was told when it asked to cancel."""

    REVOKED = "revoked"  # for good
    ASKED = "asked"  # its worker is told
    ENDED = "ended"  # too late
    UNKNOWN = "unknown"  # no answer, or "try again"


@dataclass(frozen=True, slots=True)
class Cancel:
    """A cancel and its answer; `attempt` is the one that the answer showed."""

    answer: Answer
    at: float  # when the answer was there, seconds since the epoch
    attempt: int | None = None


@dataclass(slots=True)
class Told:
    """One job, as far as clients know."""

    wanted: Wanted
    accepted: bool = False  # False: no answer; it may or may not exist
    cancels: list[Cancel] = field(default_factory=list)
    retries: list[bool] = field(default_factory=list)  # True: accepted; False: no answer

    @property
    def was_steered(self) -> bool:
        """Say whether a client may have moved it."""
        return bool(self.retries) or any(cancel.answer is not Answer.ENDED for cancel in self.cancels)


class Book:
    """Written by all clients; also counts, so that faults can wait for progress."""

    def __init__(self) -> None:
        self.jobs: dict[str, Told] = {}
        self.answers: Counter[str] = Counter()
        self.surprises: list[str] = []  # what no fault explains: answers 500, unknown exceptions, processes that ended
        self.accepted = 0
        self.ended = 0
        self._changed = threading.Condition()

    def expect(self, wanted: Wanted) -> None:
        """Write down a job before it is submitted."""
        self.jobs[wanted.id] = Told(wanted)

    def accept(self, wanted: tuple[Wanted, ...]) -> None:
        """The client was told that these are accepted."""
        with self._changed:
            for job in wanted:
                self.jobs[job.id].accepted = True
            self.accepted += len(wanted)
            self._changed.notify_all()

    def give_up(self, wanted: tuple[Wanted, ...]) -> None:
        """The client will never know. They count as progress all the same, or the schedule would wait for them."""
        with self._changed:
            self.accepted += len(wanted)
            self._changed.notify_all()

    def saw_ended(self, count: int) -> None:
        """So many jobs have ended."""
        with self._changed:
            self.ended = count
            self._changed.notify_all()

    def wait_for_accepted(self, count: int, stop: threading.Event) -> bool:
        """Wait until so many jobs were submitted; False when everything is to stop."""
        return self._wait(lambda: self.accepted >= count, stop)

    def wait_for_room(self, window: int, stop: threading.Event) -> bool:
        """Wait until fewer than `window` jobs are under way; False when everything is to stop."""
        return self._wait(lambda: self.accepted - self.ended < window, stop)

    def _wait(self, is_so: Callable[[], bool], stop: threading.Event) -> bool:
        with self._changed:
            while not is_so():
                if stop.is_set():
                    return False
                self._changed.wait(0.5)
        return not stop.is_set()

    def surprise(self, what: str) -> None:
        """Write down what no fault explains."""
        self.surprises.append(f"{time.strftime('%H:%M:%S')} {what}")
