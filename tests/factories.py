"""Rows for tests, made the way the service makes them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from task_app.jobs import transitions
from task_app.jobs.ids import new_id
from task_app.jobs.states import State


def job_row(**values: Any) -> dict[str, Any]:
    """Return the columns of a new job; `values` win."""
    job_id = values.get("id") or new_id()
    row: dict[str, Any] = {
        "id": job_id,
        "task": "add",
        "args": "[1,2]",
        "kwargs": "{}",
        "queue": "celery",
        "priority": 5,
        "state": State.PENDING,
        "attempt": 1,
        "retries": 0,
        "rescues": 0,
        "version": 1,
        "tags": None,
        "message": None,
        "parent_id": None,
        "root_id": job_id,
        "group_id": None,
        "forgotten": False,
        "created_at": datetime.now(UTC),
        "due_at": None,
        "expires_at": None,
        "dispatch_at": datetime.now(UTC),
        "published_at": None,
    }
    return row | values


def insert_job(connection: Connection, **values: Any) -> str:
    """Insert a new job and return its id."""
    row = job_row(**values)
    transitions.insert_jobs(connection, [row])
    return str(row["id"])
