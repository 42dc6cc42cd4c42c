"""Writes of the `job_group` table: saved groups and chord headers."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError

from .models import JobGroup

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
