"""Queues as readers see them: what waits in them and since when, who listens, and whether somebody has paused them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from . import lists, queue_control, workers
from .runtime import utcnow
from .view import timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """A queue that holds jobs, that a living worker is there for, or that is paused."""

    name: str
    waiting: int = 0  # for a worker; `lists.COUNT_LIMIT` means that many or more
    oldest_at: datetime | None = None  # since when the oldest of them has been ready
    listeners: tuple[str, ...] = ()  # names of living workers; while it is paused they take nothing from it
    paused_at: datetime | None = None  # None: not paused
    paused_by: str | None = None


def overview(connection: Connection, silence: timedelta) -> list[QueueView]:
    """Return every queue that is known, by name; `silence` is how long a living worker may say nothing."""
    depths = {depth.queue: depth for depth in lists.depths(connection, utcnow())}
    listeners = workers.listeners(connection, silence)
    pauses = queue_control.paused(connection)
    found = []
    for name in sorted(depths.keys() | listeners.keys() | pauses.keys()):
        depth, pause = depths.get(name), pauses.get(name)
        found.append(
            QueueView(
                name=name,
                waiting=depth.waiting if depth else 0,
                oldest_at=depth.oldest_at if depth else None,
                listeners=tuple(listeners.get(name, ())),
                paused_at=pause.at if pause else None,
                paused_by=pause.by if pause else None,
            )
        )
    return found


def document(queue: QueueView) -> dict[str, Any]:
    """Return what programs are shown of a queue, the same at every door."""
    return {
        "queue": queue.name,
        "waiting": queue.waiting,
        "oldest_at": timestamp(queue.oldest_at),
        "listeners": list(queue.listeners),
        "paused_at": timestamp(queue.paused_at),
        "paused_by": queue.paused_by,
    }
