"""What became of a job, as boxes on a line: where its time went, attempt by attempt.

The row keeps everything about the current attempt, and of earlier ones when they ran. So the wait before an earlier
attempt is one box; before the current one it is told apart: blocked, due later, to be published, in its queue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from . import states
from .view import JobView


class Kind(StrEnum):
    """What a job did in a span of time."""

    BLOCKED = "blocked"  # waited for other jobs
    DELAY = "delay"  # waited for its due time, or for the next try
    DISPATCH = "dispatch"  # was due and not on the broker
    QUEUE = "queue"  # was on the broker, and no worker took it
    RUN = "run"
    WAIT = "wait"  # waited, before an attempt that is over: for what is not on record any more
    REST = "rest"  # had ended, until somebody asked for another run


LABELS = {
    Kind.BLOCKED: "waited for other jobs",
    Kind.DELAY: "waited for its due time",
    Kind.DISPATCH: "waited to be published",
    Kind.QUEUE: "waited in its queue",
    Kind.RUN: "ran",
    Kind.WAIT: "waited",
    Kind.REST: "had ended, until it was asked for again",
}
OPEN_LABELS = {
    Kind.BLOCKED: "waits for other jobs",
    Kind.DELAY: "waits for its due time",
    Kind.DISPATCH: "waits to be published",
    Kind.QUEUE: "waits in its queue",
    Kind.RUN: "runs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A span of a job's life. Boxes follow each other without gaps, from when the job was accepted."""

    kind: Kind
    label: str
    start: datetime
    end: datetime  # of an open box: now
    attempt: int
    state: str | None = None  # how it ended; of an open box the job's state; None: the next box followed
    open: bool = False  # it goes on
    until: datetime | None = None  # when an open wait for a due time is over

    @property
    def seconds(self) -> float:
        """How long it took so far."""
        return (self.end - self.start).total_seconds()


def timeline(job: JobView, now: datetime, *, freed_at: datetime | None = None) -> list[Box]:
    """Return the boxes of a job, oldest first.

    The row forgets that a job was blocked once it is not. `freed_at` tells it: when the last job ended that this one
    waited for, see `family.freed_at`. Clocks of hosts differ: what seems to end before it began takes no time.
    """
    earlier = list(_earlier(job))
    here = earlier[-1].end if earlier else job.created_at
    return earlier + list(_current(job, here, now, after=earlier[-1] if earlier else None, freed_at=freed_at))


def _earlier(job: JobView) -> Iterator[Box]:
    here, before = job.created_at, None
    for entry in job.earlier_attempts:
        number, state = entry["attempt"], entry["state"]
        started_at, finished_at = _moment(entry["started_at"]), _moment(entry["finished_at"])
        kind = Kind.REST if before is not None and states.is_final(before) else Kind.WAIT
        if started_at is None:  # it ended before a worker took it
            end = max(here, finished_at or here)
            yield Box(kind=kind, label=LABELS[kind], start=here, end=end, attempt=number, state=state)
        else:
            begin = max(here, started_at)
            end = max(begin, finished_at or begin)
            yield Box(kind=kind, label=LABELS[kind], start=here, end=begin, attempt=number)
            yield Box(kind=Kind.RUN, label=LABELS[Kind.RUN], start=begin, end=end, attempt=number, state=state)
        here, before = end, state


def _current(
    job: JobView, here: datetime, now: datetime, *, after: Box | None, freed_at: datetime | None
) -> Iterator[Box]:
    """Return the boxes of the current attempt, from `here` on."""
    # Each wait is over when the next thing happened, whichever that was.
    taken = job.started_at or job.finished_at
    sent = _first(job.published_at, taken) if job.published_at else None
    ends: list[tuple[Kind, datetime | None]] = []
    if after is not None and after.state is not None and states.is_final(after.state):
        ends.append((Kind.REST, sent or taken or now))
    if job.blocked_by is not None or (job.awaits is not None and job.started_at is None):
        ends.append((Kind.BLOCKED, taken))
    else:
        if freed_at is not None:
            ends.append((Kind.BLOCKED, _first(freed_at, taken)))
        if job.due_at is not None and job.due_at > here:
            ends.append((Kind.DELAY, _first(job.due_at if job.due_at <= now else None, sent, taken)))
        ends += [(Kind.DISPATCH, sent or taken), (Kind.QUEUE, taken)]
    if job.started_at is not None:
        ends.append((Kind.RUN, job.finished_at))
    yield from _boxes(job, ends, here, now)


def _boxes(job: JobView, ends: list[tuple[Kind, datetime | None]], here: datetime, now: datetime) -> Iterator[Box]:
    """Put boxes one after the other; the last one is open, or ends as the job did."""
    for kind, end in ends:
        is_over = end is not None
        stop = max(here, end if end is not None else now)
        ended = is_over and job.finished_at is not None and end == job.finished_at
        yield Box(
            kind=kind,
            label=LABELS[kind] if is_over else OPEN_LABELS[kind],
            start=here,
            end=stop,
            attempt=job.attempt,
            state=job.state if ended or not is_over else None,
            open=not is_over,
            until=job.due_at if kind is Kind.DELAY and not is_over else None,
        )
        if ended or not is_over:
            return
        here = stop


def _first(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _moment(text: Any) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
