"""Writes and reads of the `worker` table: who lives, and what they hold. All ages by the database's clock."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, insert, or_, select, update

from .columns import utc_now
from .models import Worker
from .queries import database_time

_c = Worker.__table__.c


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCard:
    """What a worker says of itself when it starts."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    pool: str
    concurrency: int
    queues: Sequence[str]


def register(connection: Connection, card: WorkerCard) -> None:
    """Make the row of a worker that starts to live. Does nothing when it has one."""
    if connection.execute(select(_c.id).where(_c.id == card.id)).first() is not None:
        return
    values = {name: getattr(card, name) for name in ("id", "name", "host", "pid", "version", "pool", "concurrency")}
    connection.execute(
        insert(Worker).values(
            **values,
            queues=json.dumps(list(card.queues)),
            running="[]",
            prefetched="[]",
            started_at=utc_now(),
            heartbeat_at=utc_now(),
        )
    )


def beat(connection: Connection, worker_id: str, *, running: Sequence[str], prefetched: Sequence[str]) -> bool:
    """Write a heartbeat. Returns False when the worker has no row (any more)."""
    statement = (
        update(Worker)
        .where(_c.id == worker_id)
        .values(heartbeat_at=utc_now(), running=json.dumps(list(running)), prefetched=json.dumps(list(prefetched)))
    )
    return connection.execute(statement).rowcount == 1


def say_goodbye(connection: Connection, worker_id: str) -> None:
    """The worker has stopped in order; whatever it still holds is free at once."""
    connection.execute(
        update(Worker).where(_c.id == worker_id).values(stopped_at=utc_now(), running="[]", prefetched="[]")
    )


def gone(connection: Connection, timeout: timedelta) -> list[str]:
    """Return workers that said goodbye or whose heartbeat is older than `timeout`."""
    cutoff = database_time(connection) - timeout
    return list(
        connection.execute(select(_c.id).where(or_(_c.heartbeat_at < cutoff, _c.stopped_at.is_not(None)))).scalars()
    )


def held_by_the_living(connection: Connection, timeout: timedelta) -> set[str]:
    """Return the job ids that living workers run or have prefetched."""
    cutoff = database_time(connection) - timeout
    alive = select(_c.running, _c.prefetched).where(_c.heartbeat_at >= cutoff, _c.stopped_at.is_(None))
    held: set[str] = set()
    for row in connection.execute(alive):
        held.update(json.loads(row.running), json.loads(row.prefetched))
    return held
