"""Rows for tests, made the way the service makes them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from task_app.jobs import transitions
from task_app.jobs.rows import new_row


def job_row(**values: Any) -> dict[str, Any]:
    """Return the columns of a new job; `values` win."""
    usual = {"task": "add", "args": "[1,2]", "kwargs": "{}", "queue": "celery", "priority": 5}
    return new_row(**(usual | {"dispatch_at": datetime.now(UTC)} | values))


def insert_job(connection: Connection, **values: Any) -> str:
    """Insert a new job and return its id."""
    row = job_row(**values)
    transitions.insert_jobs(connection, [row])
    return str(row["id"])
