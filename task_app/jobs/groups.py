"""Writes of the `job_group` table: saved groups and chord headers."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, insert, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError

from .models import Job, JobGroup

_c = JobGroup.__table__.c


def save(connection: Connection, group_id: str, *, now: datetime, **values: Any) -> None:
    """Set some columns of a group, making its row if there is none. Safe to repeat and to race."""
    change = update(JobGroup).where(_c.id == group_id).values(**values)
    if connection.execute(change).rowcount:
        return
    try:
        connection.execute(insert(JobGroup).values({"id": group_id, "created_at": now, "unjoined": False} | values))
    except IntegrityError:
        connection.execute(change)


def delete(connection: Connection, group_id: str) -> None:
    """Forget a group; its jobs stay."""
    connection.execute(sql_delete(JobGroup).where(_c.id == group_id))


def prune(connection: Connection, created_before: datetime, limit: int) -> int:
    """Delete groups without jobs that nobody waits for any more; return how many."""
    empty = ~exists().where(Job.__table__.c.group_id == _c.id)
    found = select(_c.id).where(_c.created_at < created_before, _c.unjoined.is_(False), empty).limit(limit)
    group_ids = list(connection.execute(found).scalars())
    if not group_ids:
        return 0
    return connection.execute(sql_delete(JobGroup).where(_c.id.in_(group_ids))).rowcount
