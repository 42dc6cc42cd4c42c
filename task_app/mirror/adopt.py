"""Jobs that others sent: rows for messages that did not come from this app, and for ids that only an outcome names."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from dateutil.parser import isoparse
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from ..errors import ValueNotStorable
from ..jobs import transitions
from ..jobs.rows import new_row
from ..jobs.runtime import Publisher, utcnow
from ..jobs.submission import Submission
from . import codec

UNKNOWN_TASK = "unknown"
DEFAULT_PRIORITY = 5
NAME_LENGTH = 255
_POSSIBLE_ID = re.compile(r"[!-~]{1,155}\Z")


def from_request(connection: Connection, task: str, request: Any) -> None:
    """Make the row of a message that a worker is about to run."""
    delivery = request.delivery_info or {}
    _insert(
        connection,
        request.id,
        task=task,
        args=codec.dumps(list(request.args or ()), "the arguments"),
        kwargs=codec.dumps(dict(request.kwargs or {}), "the keyword arguments"),
        queue=delivery.get("routing_key") or "",
        expires_at=_moment(request.expires),
        parent_id=request.parent_id,
        root_id=request.root_id,
        group_id=request.group,
        retries=request.retries or 0,
        published_at=utcnow(),
    )


def from_message(connection: Connection, celery: Celery, message: Any) -> datetime | None:
    """Make the row of a message that a worker has just received. Returns its due time.

    With a due time the row takes over: the alarm is set, and the caller may drop the message.
    """
    headers = message.headers
    args, kwargs, embed = message.payload
    due_at = _moment(headers.get("eta"))
    carried = {
        "chain": embed.get("chain"),
        "chord": embed.get("chord"),
        "link": embed.get("callbacks"),
        "link_error": embed.get("errbacks"),
        "group_index": headers.get("group_index"),
        "shadow": headers.get("shadow"),
        "reply_to": (message.properties or {}).get("reply_to"),
    }
    hard, soft = headers.get("timelimit") or (None, None)
    carried |= {"time_limit": hard, "soft_time_limit": soft}
    kept = {key: value for key, value in carried.items() if value}
    _insert(
        connection,
        headers["id"],
        task=headers["task"],
        args=codec.dumps(list(args), "the arguments"),
        kwargs=codec.dumps(dict(kwargs), "the keyword arguments"),
        queue=(message.delivery_info or {}).get("routing_key") or celery.conf.task_default_queue,
        expires_at=_moment(headers.get("expires")),
        parent_id=headers.get("parent_id"),
        root_id=headers.get("root_id"),
        group_id=headers.get("group"),
        retries=headers.get("retries") or 0,
        message=json.dumps(kept) if kept else None,
        due_at=due_at,
        dispatch_at=due_at,
        published_at=None if due_at else utcnow(),
    )
    return due_at


def from_outcome(connection: Connection, job_id: str, request: Any, publisher: Publisher | None) -> None:
    """Make the row of a job that ends before it was sent: a later step of a failed chain, a failed chord's body."""
    options = getattr(request, "options", None) or {}
    submission = Submission(
        task=getattr(request, "task", None) or getattr(request, "name", None) or UNKNOWN_TASK,
        args=codec.dumps(list(getattr(request, "args", None) or ()), "the arguments"),
        kwargs=codec.dumps(dict(getattr(request, "kwargs", None) or {}), "the keyword arguments"),
        queue=options.get("queue"),
        priority=options.get("priority"),
    )
    if publisher is not None:
        submission = publisher.route(submission)  # somebody may run it after all
    _insert(
        connection,
        job_id,
        task=submission.task,
        args=submission.args,
        kwargs=submission.kwargs,
        queue=submission.queue or "",
        priority=DEFAULT_PRIORITY if submission.priority is None else submission.priority,
        root_id=getattr(request, "root_id", None),
        parent_id=getattr(request, "parent_id", None),
        group_id=getattr(request, "group", None),
    )


def _insert(connection: Connection, job_id: str, **values: Any) -> None:
    row = {"priority": DEFAULT_PRIORITY} | new_row(id=job_id, **values)
    _check(row)
    try:
        transitions.insert_jobs(connection, [row])
    except IntegrityError:
        return  # somebody was faster


def is_possible_id(job_id: Any) -> bool:
    """Say whether the table can hold this id; foreign producers send anything."""
    return isinstance(job_id, str) and _POSSIBLE_ID.match(job_id) is not None


def _check(row: dict[str, Any]) -> None:
    """Refuse what no column can hold. Raises ValueNotStorable."""
    for name in ("id", "parent_id", "root_id", "group_id"):
        if row[name] is not None and not is_possible_id(row[name]):
            raise ValueNotStorable(f"{name} is not 1 to 155 printable ASCII characters")
    for name in ("task", "queue"):
        if len(row[name]) > NAME_LENGTH or "\x00" in row[name]:
            raise ValueNotStorable(f"{name} is longer than {NAME_LENGTH} characters or holds a NUL")


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = isoparse(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
