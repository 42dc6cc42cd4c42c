"""Pausing is a fact in the table, as a cancel is: it holds with all workers offline, after restarts, on every host."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from .columns import utc_now
from .models import PausedQueue

_c = PausedQueue.__table__.c


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when a queue is paused, and who did it (None: nobody had to sign in)."""

    at: datetime
    by: str | None


def pause(connection: Connection, name: str, by: str | None) -> bool:
    """Let workers take nothing from a queue. False when it is paused already; who came first stays on record."""
    once_more = update(PausedQueue).where(_c.name == name, _c.resumed_at.is_not(None))
    values = {"paused_at": utc_now(), "paused_by": by}
    if connection.execute(once_more.values(**values, resumed_at=None)).rowcount:
        return True
    try:
        connection.execute(insert(PausedQueue).values(name=name, **values))
    except IntegrityError:
        return False
    return True


def resume(connection: Connection, name: str) -> bool:
    """Let workers take from a queue again. False when it is not paused."""
    paused_now = update(PausedQueue).where(_c.name == name, _c.resumed_at.is_(None))
    return connection.execute(paused_now.values(resumed_at=utc_now())).rowcount == 1


def paused(connection: Connection) -> dict[str, Pause]:
    """Return the queues that are paused, by name."""
    found = connection.execute(select(_c.name, _c.paused_at, _c.paused_by).where(_c.resumed_at.is_(None)))
    return {row.name: Pause(row.paused_at, row.paused_by) for row in found}


def paused_since(connection: Connection, moment: datetime) -> set[str]:
    """Return the queues that are paused, or were at some time since this moment by the database's clock.

    Jobs wait long in them without any worker being to blame.
    """
    found = select(_c.name).where(or_(_c.resumed_at.is_(None), _c.resumed_at > moment))
    return set(connection.execute(found).scalars())
