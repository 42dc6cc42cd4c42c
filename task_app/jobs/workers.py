"""Writes and reads of the `worker` table: who lives, and what they hold. All ages by the database's clock."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from .columns import utc_now
from .models import Job, Worker
from .queries import database_time, published_before
from .queue_control import paused_since

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
            newest="{}",
            services="{}",
            dropped=0,
            refused=0,
            junk=0,
            started_at=utc_now(),
            heartbeat_at=utc_now(),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a worker says with each heartbeat."""

    running: Sequence[str] = ()  # job ids in its pool
    prefetched: Sequence[str] = ()  # job ids taken from the broker, not yet in the pool
    took_messages: bool = False  # since the last beat
    newest: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # queue → priority → epoch seconds
    services: Mapping[str, Any] = field(default_factory=dict)  # maintenance service → what it did last
    memory: int | None = None  # bytes of the process and its pool; None: can't be told


def beat(connection: Connection, worker_id: str, said: Beat) -> bool:
    """Write a heartbeat. Returns False when the worker has no row (any more)."""
    values: dict[str, Any] = {
        "heartbeat_at": utc_now(),
        "running": json.dumps(list(said.running)),
        "prefetched": json.dumps(list(said.prefetched)),
        "newest": json.dumps(said.newest),
        "services": json.dumps(said.services),
        "memory": said.memory,
    }
    if said.took_messages:
        values["last_message_at"] = utc_now()
    return connection.execute(update(Worker).where(_c.id == worker_id).values(values)).rowcount == 1


COUNTERS = ("dropped", "refused", "junk")


def count(connection: Connection, worker_id: str | None, counter: str) -> None:
    """Count one more of something that should be rare, on the worker's row; see COUNTERS."""
    if worker_id is not None:
        connection.execute(update(Worker).where(_c.id == worker_id).values({counter: _c[counter] + 1}))


def say_goodbye(connection: Connection, worker_id: str) -> None:
    """The worker has stopped in order; whatever it still holds is free at once."""
    connection.execute(
        update(Worker).where(_c.id == worker_id).values(stopped_at=utc_now(), running="[]", prefetched="[]")
    )


def silent(connection: Connection, timeout: timedelta) -> dict[str, datetime]:
    """Return workers whose heartbeat is older than `timeout`, and when it was, by the database's clock."""
    cutoff = database_time(connection) - timeout
    found = connection.execute(select(_c.id, _c.heartbeat_at).where(_c.heartbeat_at < cutoff, _c.stopped_at.is_(None)))
    return {row.id: row.heartbeat_at for row in found}


def newest_taken(connection: Connection) -> dict[str, dict[int, float]]:
    """Return, by queue and priority, when the newest message that any worker has taken was sent (epoch seconds)."""
    newest: dict[str, dict[int, float]] = {}
    for text in connection.execute(select(_c.newest)).scalars():
        for queue, by_priority in json.loads(text).items():
            known = newest.setdefault(queue, {})
            for priority, moment in by_priority.items():
                known[int(priority)] = max(moment, known.get(int(priority), 0.0))
    return newest


def prune(connection: Connection, keep: timedelta) -> int:
    """Delete the rows of workers that have been silent for long and that hold nothing; return how many."""
    cutoff = database_time(connection) - keep
    job = Job.__table__.c
    holds = exists().where(job.worker_id == _c.id, job.finished_at.is_(None))
    return connection.execute(delete(Worker).where(_c.heartbeat_at < cutoff, ~holds)).rowcount


def held_by_the_living(connection: Connection, timeout: timedelta) -> set[str]:
    """Return the job ids that living workers run or have prefetched."""
    cutoff = database_time(connection) - timeout
    alive = select(_c.running, _c.prefetched).where(_c.heartbeat_at >= cutoff, _c.stopped_at.is_(None))
    held: set[str] = set()
    for row in connection.execute(alive):
        held.update(json.loads(row.running), json.loads(row.prefetched))
    return held


#: How many heartbeats in a row a worker may miss before it is doubted.
MISSED_BEATS = 3


def listeners(connection: Connection, silence: timedelta) -> dict[str, list[str]]:
    """Return, by queue, the names of the workers that listen to it, wedged ones too, and were not silent for longer."""
    cutoff = database_time(connection) - silence
    alive = select(_c.name, _c.queues).where(_c.heartbeat_at >= cutoff, _c.stopped_at.is_(None)).order_by(_c.name)
    found: dict[str, list[str]] = {}
    for row in connection.execute(alive):
        for queue in json.loads(row.queues):
            found.setdefault(queue, []).append(row.name)
    return found


class WorkerState(StrEnum):
    """What can be said of a worker without asking it."""

    ALIVE = "alive"  # a fresh heartbeat
    WEDGED = "wedged"  # beats and has room, but takes nothing while its queue, not paused, has old messages
    UNKNOWN = "unknown"  # has missed heartbeats, not yet enough to be given up
    DEAD = "dead"  # silent for longer than WORKER_TIMEOUT
    STOPPED = "stopped"  # said goodbye


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker's row, with its JSON opened, and what follows from it."""

    id: str
    name: str
    host: str
    pid: int
    version: str
    pool: str
    concurrency: int
    queues: list[str]
    running: list[str]
    prefetched: list[str]
    services: dict[str, Any]
    dropped: int
    refused: int
    junk: int
    memory: int | None  # bytes of the process and its pool; None: can't be told
    started_at: datetime
    heartbeat_at: datetime
    last_message_at: datetime | None
    stopped_at: datetime | None
    silent_for: float  # seconds since its last heartbeat, by the database's clock
    state: WorkerState


_JSON = ("queues", "running", "prefetched", "services")
_VIEWED = [name for name in WorkerView.__dataclass_fields__ if name not in ("silent_for", "state")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How long is too long: the settings by which workers and messages are judged."""

    interval: timedelta  # between two heartbeats
    timeout: timedelta  # a worker silent for so long is given up
    patience: timedelta  # a message so old makes a worker suspicious that has room and doesn't take it
    lost_after: timedelta  # a message so old is looked for
    cancel_grace: timedelta  # what a running job has to obey a cancel before it is terminated


def overview(
    connection: Connection, *, interval: timedelta, timeout: timedelta, patience: timedelta, queue: str | None = None
) -> list[WorkerView]:
    """Return all workers on record, latest first, with their states.

    `interval` is how often they beat, `timeout` after how long a silent one is given up, `patience` how old a message
    must be before a worker that doesn't take it is suspicious. Who asks about one `queue` spares the looks at others:
    a worker is called wedged only for leaving that one alone.
    """
    now = database_time(connection)
    rows = connection.execute(select(*(_c[name] for name in _VIEWED)).order_by(_c.started_at.desc())).mappings()
    opened = [{**row, **{name: json.loads(row[name]) for name in _JSON}} for row in rows]
    held = {job_id for row in opened for job_id in (*row["running"], *row["prefetched"])}
    queues = {name for row in opened for name in row["queues"] if queue in (None, name)}
    queues -= paused_since(connection, now - patience)
    stale = {name for name in queues if _has_old_message(connection, name, now - patience, held)}

    def state_of(row: Mapping[str, Any]) -> WorkerState:
        silence = now - row["heartbeat_at"]
        if row["stopped_at"] is not None:
            return WorkerState.STOPPED
        if silence > timeout:
            return WorkerState.DEAD
        if silence > MISSED_BEATS * interval:
            return WorkerState.UNKNOWN
        has_room = len(row["running"]) < row["concurrency"] and not row["prefetched"]
        took_at = row["last_message_at"] or row["started_at"]
        if has_room and now - took_at > patience and stale.intersection(row["queues"]):
            return WorkerState.WEDGED
        return WorkerState.ALIVE

    return [
        WorkerView(**row, silent_for=max(0.0, (now - row["heartbeat_at"]).total_seconds()), state=state_of(row))
        for row in opened
    ]


def _has_old_message(connection: Connection, queue: str, moment: datetime, held: set[str]) -> bool:
    found = published_before(connection, moment, queue, limit=len(held) + 1)
    return any(job.id not in held for job in found)
