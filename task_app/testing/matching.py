"""Which jobs a test has expected, and what to tell it when they are not there."""

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import celery

from ..jobs.view import JobView
from ..mirror import codec

#: How far a due time may be from the expected one: code and test have looked at the clock at different times.
TOLERANCE = timedelta(seconds=1)
SHOWN = 20  # jobs
WIDTH = 200  # characters of a job's arguments


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a test says of jobs; None says nothing."""

    task: celery.Task | None  # None: no task of this name is known
    name: str
    args: Sequence[Any] | None = None
    kwargs: Mapping[str, Any] | None = None
    queue: str | None = None
    due_at: datetime | timedelta | None = None

    def fits(self, job: JobView) -> bool:
        """Say whether a job is as expected."""
        return (
            job.task == self.name
            and self.queue in (None, job.queue)
            and self._is_called_so(job)
            and self._is_due_then(job)
        )

    def _is_called_so(self, job: JobView) -> bool:
        if self.args is None and self.kwargs is None:
            return True
        args, kwargs = _as_json(list(self.args or ())), _as_json(dict(self.kwargs or {}))
        same: bool = self._by_name(args, kwargs) == self._by_name(job.args, job.kwargs)
        return same

    def _by_name(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Bring arguments into one form: `send(7)` and `send(user_id=7)` are the same call."""
        if self.task is None:
            return args, kwargs
        try:
            return dict(inspect.signature(self.task.run).bind(*args, **kwargs).arguments)
        except TypeError:  # the task can't be called so; it may be expected all the same
            return args, kwargs

    def _is_due_then(self, job: JobView) -> bool:
        if self.due_at is None:
            return True
        moment = job.created_at + self.due_at if isinstance(self.due_at, timedelta) else self.due_at
        return job.due_at is not None and abs(job.due_at - moment) <= TOLERANCE

    def __str__(self) -> str:
        call = self.name
        if self.args is not None or self.kwargs is not None:
            call += _call(list(self.args or ()), dict(self.kwargs or {}))
        queue = "" if self.queue is None else f" in queue {self.queue}"
        due = "" if self.due_at is None else f" due {_due(self.due_at)}"
        return call + queue + due


def complaint(expected: Expected, count: int | None, found: int, there: Sequence[JobView]) -> str:
    """Say what was expected and what is there instead."""
    wanted = "a job" if count is None else f"{count} jobs" if count != 1 else "1 job"
    lines = [f"expected {wanted} {expected}, found {found}; enqueued were:"]
    lines += [f"  {_line(job)}" for job in there[:SHOWN]]
    if len(there) > SHOWN:
        lines.append(f"  and {len(there) - SHOWN} more")
    return "\n".join(lines if there else [*lines, "  no jobs at all"])


def _line(job: JobView) -> str:
    due = job.due_at if job.due_at is not None and job.due_at > job.created_at + TOLERANCE else None
    later = "" if due is None else f", due {_due(due)}"
    return f"{job.task}{_call(job.args, job.kwargs)} in queue {job.queue}{later}: {job.state}"


def _call(args: list[Any], kwargs: dict[str, Any]) -> str:
    text = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
    return f"({text if len(text) <= WIDTH else text[:WIDTH] + '…'})"


def _due(when: datetime | timedelta) -> str:
    return f"{when} after it was submitted" if isinstance(when, timedelta) else when.isoformat(timespec="seconds")


def _as_json(value: Any) -> Any:
    """Return what the row would hold of a value."""
    return json.loads(codec.dumps(value, "what is expected"))
