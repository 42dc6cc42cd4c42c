"""Which jobs are wanted: by one condition, or by several at once."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, exists, func, or_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from .columns import is_packed
from .models import JobTag
from .packing import Unreadable
from .states import FINAL, WAITING, State

#: Words for several states at once, in the place of one. States are written in capitals.
RUNNING, NOT_STARTED, ENDED = "running", "waiting", "finished"
SEVERAL: dict[str, tuple[str, ...]] = {NOT_STARTED: WAITING, ENDED: FINAL}

#: Filter → column, where it is the column's value that is asked for.
COLUMNS = {
    "status": "state",
    "task": "task",
    "queue": "queue",
    "worker": "worker",
    "error": "error_type",
    "parent": "parent_id",
    "group": "group_id",
}
#: What usually has the fewest jobs comes first: its jobs are looked at for the other conditions.
_ORDER = (
    *("id", "group", "parent", "tag", "error", "worker", "task", "queue", "status", "resolved"),
    *("finished_after", "finished_before", "argument"),
)

#: The columns of a table or of a subquery.
Columns = ReadOnlyColumnCollection[str, Any]

_tag = JobTag.__table__.c
_SAFE_TO_SEEK = re.compile(r"[A-Za-z0-9_-]+")


class Argument(NamedTuple):
    """An argument that jobs must have: where it is, and its value as text."""

    path: tuple[str, ...]  # begins with "args" or "kwargs"
    value: str

    @classmethod
    def parse(cls, text: str) -> "Argument":
        """Read `kwargs.user_id=42`, `args.0=…`, or `user_id=42` for short. Raises ValueError."""
        path, separator, value = text.partition("=")
        steps = tuple(path.split("."))
        if not separator or not all(steps):
            raise ValueError("must be a path and a value, such as kwargs.user_id=42 or args.0=42")
        return cls(steps if steps[0] in ("args", "kwargs") and len(steps) > 1 else ("kwargs", *steps), value)

    @property
    def needle(self) -> str:
        """A part of the value that is written in JSON as it is; may be empty."""
        return max(_SAFE_TO_SEEK.findall(self.value), key=len, default="")

    def is_in(self, stored: str) -> bool:
        """Say whether arguments, as JSON, have it. 42 is the number as well as the text."""
        if self.needle not in stored or isinstance(stored, Unreadable):
            return False  # without reading a megabyte of JSON
        found = json.loads(stored)
        for step in self.path[1:]:
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isascii() and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                return False
        if isinstance(found, str):
            return found == self.value
        return self.value in (json.dumps(found), json.dumps(found, separators=(",", ":"), ensure_ascii=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which jobs to list; None means any."""

    status: str | None = None  # a state, or one of the words for several
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    worker: str | None = None
    error: str | None = None  # type of the error of the last attempt that failed
    resolved: bool | None = None  # failures alone
    parent: str | None = None
    group: str | None = None
    id: str | None = None  # or its beginning
    argument: str | None = None  # see Argument
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None

    def conditions(self) -> list[tuple[str, Any]]:
        """Return (field, value) of what is asked for, times aside, the one to begin with first."""
        given = {name: value for name in _ORDER if (value := getattr(self, name)) is not None}
        if self.resolved is not None:
            given.setdefault("status", State.FAILURE.value)
        order = list(_ORDER)
        if given.get("status") not in (None, *FINAL, ENDED):
            order.insert(4, "status")  # few jobs wait or run
        return [(name, given[name]) for name in dict.fromkeys(order) if name in given]


def meets(columns: Columns, name: str, value: Any) -> list[ColumnElement[bool]]:
    """Return what a job must also fulfil; `argument` is left to Python, but for a first sieve."""
    match name:
        case "status":
            found = [has_status(columns["state"], value)]
        case "resolved":
            resolved_at = columns["resolved_at"]
            found = [columns["state"] == State.FAILURE, resolved_at.is_not(None) if value else resolved_at.is_(None)]
        case "finished_after":
            found = [columns["finished_at"] >= value]
        case "finished_before":
            found = [columns["finished_at"] < value]
        case "tag":
            found = [exists().where(_tag.tag == value, _tag.job_id == columns["id"])]
        case "id":
            found = [func.substr(columns["id"], 1, len(value)) == value]
        case "argument":
            found = _sieve(columns, Argument.parse(value))
        case _:
            found = [columns[COLUMNS[name]] == value]
    return found


def _sieve(columns: Columns, wanted: Argument) -> list[ColumnElement[bool]]:
    """Packed arguments pass: only Python can look into them."""
    stored = columns[wanted.path[0]]
    return [or_(is_packed(stored), stored.contains(wanted.needle, autoescape=True))] if wanted.needle else []


def has_status(state: ColumnElement[Any], status: str) -> ColumnElement[bool]:
    """Return the condition for a state, or for several."""
    if status == RUNNING:
        return state.not_in((*WAITING, *FINAL))
    return state.in_(SEVERAL[status]) if status in SEVERAL else state == status
