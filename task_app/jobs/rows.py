"""A new row of the job table, with what every job begins with."""

from datetime import UTC, datetime
from typing import Any

from .ids import new_id
from .states import State


def new_row(**values: Any) -> dict[str, Any]:
    """Return the columns of a new job: attempt 1, PENDING, its own root unless `values` say otherwise.

    `task`, `args` and `kwargs` (JSON texts), `queue` and `priority` must be among `values`.
    """
    job_id = values.get("id") or new_id()
    row: dict[str, Any] = {
        "state": State.PENDING,
        "attempt": 1,
        "retries": 0,
        "rescues": 0,
        "version": 1,
        "tags": None,
        "message": None,
        "parent_id": None,
        "group_id": None,
        "forgotten": False,
        "created_at": datetime.now(UTC),
        "due_at": None,
        "expires_at": None,
        "dispatch_at": None,
        "published_at": None,
        "publish_error": None,
    }
    row |= values
    return row | {"id": job_id, "root_id": values.get("root_id") or job_id}
