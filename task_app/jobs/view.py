"""A job as readers see it: the row with its JSON opened and what follows from it computed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from . import states
from .packing import show
from .states import State, WaitReason
from .submission import AWAITS


def timestamp(moment: datetime | None) -> str | None:
    """Write a moment as RFC 3339 in UTC with microseconds."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True)
class JobView:
    """One row of the job table, read-only. JSON texts are opened on first use."""

    id: str
    task: str
    args_json: str
    kwargs_json: str
    queue: str
    priority: int
    state: str
    attempt: int
    retries: int
    version: int
    created_at: datetime
    progress_json: str | None = None
    result_json: str | None = None
    error_json: str | None = None
    history_json: str | None = None
    artefacts_json: str | None = None
    tags_json: str | None = None
    message_json: str | None = None
    worker: str | None = None
    worker_id: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    blocked_by: str | None = None
    publish_error: str | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    published_at: datetime | None = None
    started_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    finished_at: datetime | None = None
    resolved_at: datetime | None = None

    @classmethod
    def from_row(cls, row: Mapping[Any, Any]) -> "JobView":
        """Make the view of a row, whole or freshly inserted (missing columns are NULL)."""
        return cls(**{name: row[column] for name, column in VIEW_COLUMNS.items() if column in row})

    @cached_property
    def args(self) -> list[Any]:
        """Positional arguments."""
        found = show(self.args_json)
        return found if isinstance(found, list) else list(found.values())

    @cached_property
    def kwargs(self) -> dict[str, Any]:
        """Keyword arguments."""
        return dict(show(self.kwargs_json))

    @cached_property
    def result(self) -> Any:
        """What the task returned; None also while there is nothing."""
        return show(self.result_json)

    @cached_property
    def error(self) -> dict[str, Any] | None:
        """Type, message and traceback of the error that ended the last failed attempt."""
        stored = show(self.error_json)
        return stored and {key: stored.get(key) for key in ("type", "message", "traceback")}

    @cached_property
    def tags(self) -> list[str]:
        """Tags given at submission."""
        return show(self.tags_json) or []

    @cached_property
    def artefacts(self) -> list[dict[str, Any]]:
        """The files that the job has made, by name: id, name, size, type, sha256."""
        return show(self.artefacts_json) or []

    @cached_property
    def message(self) -> dict[str, Any]:
        """What else the job's message carries."""
        return dict(show(self.message_json) or {})

    @cached_property
    def options(self) -> dict[str, Any]:
        """Limits given at submission."""
        return {key: self.message.get(key) for key in ("max_retries", "soft_time_limit", "time_limit")}

    @cached_property
    def awaits(self) -> str | None:
        """What the job waits for, or waited for in vain; None once it has got its input, and where there is none."""
        return self.message.get(AWAITS)

    @cached_property
    def meta(self) -> Any:
        """What the task reported last, as it reported it."""
        return show(self.progress_json)

    @cached_property
    def progress(self) -> dict[str, Any]:
        """How far the job is: current, total, percent (0 to 100 or None) and message.

        A finished job that succeeded is at 100 percent whatever was reported last.
        """
        meta = self.meta if isinstance(self.meta, dict) else {}
        current, total, message = meta.get("current"), meta.get("total"), meta.get("message")
        percent = 100.0 if self.state == State.SUCCESS else _percent(current, total)
        return {"current": current, "total": total, "percent": percent, "message": message}

    @cached_property
    def earlier_attempts(self) -> list[dict[str, Any]]:
        """The attempts before the current one that are on record, oldest first."""
        return [json.loads(line) for line in (self.history_json or "").splitlines()]

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Every attempt that was started, oldest first; the last may still be running."""
        attempts = list(self.earlier_attempts)
        if self.started_at is not None or self.finished_at is not None:
            attempts.append(
                {
                    "attempt": self.attempt,
                    "state": self.state,
                    "worker": self.worker,
                    "started_at": timestamp(self.started_at),
                    "finished_at": timestamp(self.finished_at),
                    "error": self.error if self.finished_at is not None else None,
                }
            )
        return attempts

    def waiting_for(self, now: datetime) -> str | None:
        """Why the job is not running; None when it runs or has ended."""
        if not states.is_waiting(self.state):
            return None
        if self.blocked_by is not None:
            return self.blocked_by
        if self.published_at is not None:
            return WaitReason.WORKER
        if self.due_at is not None and self.due_at > now:
            return WaitReason.DUE_TIME
        return WaitReason.BROKER if self.publish_error is not None else WaitReason.DISPATCH


#: Field of the view → column of the table.
VIEW_COLUMNS = {
    field.name: field.name.removesuffix("_json") if field.name.endswith("_json") else field.name
    for field in fields(JobView)
}


def _percent(current: Any, total: Any) -> float | None:
    numbers = [value for value in (current, total) if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2 or total <= 0:
        return None
    try:
        return float(round(min(100.0, max(0.0, 100.0 * current / total)), 1))
    except OverflowError:  # an integer that is too large for a float
        return None
