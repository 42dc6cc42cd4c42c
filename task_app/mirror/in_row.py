"""Arguments that are too large for a message: they stay in the row, and the worker takes them from there.

Brokers hold what they carry in memory. Above `MESSAGE_ARGUMENTS_LIMIT` a message says in a header that its arguments,
and what is to follow the job, are in the row. They are taken right after the claim, in the process that runs the task:
who has claimed an attempt may read what it is about, and a duplicate reads nothing.
"""

from typing import Any

from celery.exceptions import Ignore
from sqlalchemy import Engine, RowMapping

from ..errors import TaskAppError
from ..jobs import queries
from ..jobs.submission import Outgoing
from . import codec
from .request import attempt_of

#: Only a message of ours may have it; it is taken from those of foreign producers.
HEADER = "job_arguments_in_row"

#: Signatures that travel in the body of a message: there by Celery's names, in the row by those of `apply_async`.
_FOLLOWS = {"chain": "chain", "chord": "chord", "callbacks": "link", "errbacks": "link_error"}


class WrongMessage(TaskAppError):
    """A message wants the arguments of a job for another task than that job's."""


def are_too_large(job: Outgoing, limit: int) -> bool:
    """Say whether a job's message would carry more bytes of arguments than it may, those of later steps included."""
    return len(job.args) + len(job.kwargs) + len(job.message or "") > limit


def has_left(request: Any) -> bool:
    """Say whether a request lacks what its message has left in the row."""
    return bool(getattr(request, HEADER, False))


def take(engine: Engine, task: str, request: Any) -> None:
    """Give a claimed request its arguments, and what follows it. Safe to repeat.

    Raises Ignore when that attempt is over, WrongMessage, and DecodeError for arguments that can't be read.
    """
    row = _row(engine, request, "task", "args", "kwargs", "message")
    if row is None:
        raise Ignore("that attempt is over: its arguments are not in the row any more")
    if row["task"] != task:
        raise WrongMessage(f"the message of job {request.id} names the task {task}; its row names {row['task']}")
    args, kwargs = codec.loads(row["args"]), codec.loads(row["kwargs"])
    # In place: Celery goes on with the same list and dict, when it calls the task and afterwards.
    request.args[:] = args
    request.kwargs.clear()
    request.kwargs.update(kwargs)
    _add_what_follows(request, row)


def take_what_follows(engine: Engine, request: Any) -> None:
    """Give a request that ends unseen by its process, and so without its arguments, what follows it."""
    row = _row(engine, request, "message")
    if row is not None:
        _add_what_follows(request, row)


def _row(engine: Engine, request: Any, *columns: str) -> RowMapping | None:
    with engine.connect() as connection:
        row = queries.row(connection, request.id, "attempt", *columns)
    return row if row is not None and row["attempt"] == attempt_of(request) else None


def _add_what_follows(request: Any, row: RowMapping) -> None:
    message = codec.loads(row["message"]) if row["message"] else {}
    for name, option in _FOLLOWS.items():
        setattr(request, name, message.get(option))
    setattr(request, HEADER, False)
