"""A job's relatives: what sent it and what it has sent, the rest of its chain, its group, the body of its chord.

How they stand in the table: `parent_id` names the job that sent this one, or the step before it in its chain. The first
step of a chain carries the later ones in its message; a step that never ran says what it awaits. Parts of a group share
`group_id` and have an index in it; each part of a chord carries the body in its message. A body names its header in its
own message while it waits; afterwards it has the group's id, but no index.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import chain, islice, zip_longest
from typing import Any

from sqlalchemy import Connection, RowMapping, literal, select, union_all

from .models import Job
from .packing import show
from .states import WaitReason
from .submission import AWAITS

_c = Job.__table__.c
_COLUMNS = (
    "id",
    "task",
    "state",
    "parent_id",
    "root_id",
    "group_id",
    "message",
    "created_at",
    "started_at",
    "finished_at",
)
_SELECT = select(*(_c[name] for name in _COLUMNS))
#: What relatives are looked for by.
_RELATIONS = {"id": _c.id, "parent": _c.parent_id, "group": _c.group_id}
#: (relation, value): where to look next.
Link = tuple[str, str]

#: How far from the job relatives are looked for; each level is a statement.
LEVELS = 30


class Kind(StrEnum):
    """How two jobs belong together."""

    SENT = "sent"  # the first sent the second while it ran
    THEN = "then"  # the second is the next step of a chain
    PART = "part"  # the first is a part of the chord whose body is the second


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A relative, or the job itself."""

    id: str
    task: str
    state: str
    parent_id: str | None
    group_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    distance: int  # steps from the job that was asked about


@dataclass(frozen=True, slots=True)
class Edge:
    """From an earlier job to a later one."""

    source: str
    target: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The relatives of a job that were found, oldest first."""

    job_id: str
    root_id: str | None
    nodes: list[Node]
    edges: list[Edge]
    groups: dict[str, list[str]]  # group → ids of its parts, as far as they were found
    is_cut: bool  # there are more

    def ancestors(self) -> list[str]:
        """Return what led to the job, the nearest first."""
        return _walk(self.job_id, [(edge.target, edge.source) for edge in self.edges])

    def descendants(self) -> list[str]:
        """Return what came of the job, the nearest first."""
        return _walk(self.job_id, [(edge.source, edge.target) for edge in self.edges])

    def freed_at(self, job_id: str) -> datetime | None:
        """Return when the last of the jobs ended that this one waited for; None if it waits, or waited for none."""
        waited_for = {edge.source for edge in self.edges if edge.target == job_id and edge.kind is not Kind.SENT}
        ends = [node.finished_at for node in self.nodes if node.id in waited_for]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else None


def _walk(start: str, steps: Sequence[tuple[str, str]]) -> list[str]:
    found = [start]
    for here in found:  # it grows meanwhile
        found += dict.fromkeys(there for source, there in steps if source == here and there not in found)
    return found[1:]


@dataclass(frozen=True, slots=True)
class _Relative:
    """A row, with its message opened."""

    row: RowMapping
    message: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.row["id"])

    def later_steps(self) -> list[tuple[str, bool]]:
        """Return the rest of its chain, the next step last: the id, and whether that is a group's."""
        steps = [(_id_of(step), bool(step.get("subtask_type"))) for step in self.message.get("chain") or ()]
        return [(step, is_group) for step, is_group in steps if step is not None]

    def body(self) -> str | None:
        """Return the body of the chord that it is a part of; of a body that is a chain, the first step."""
        chord = self.message.get("chord")
        steps = ((chord or {}).get("kwargs") or {}).get("tasks") if chord and chord.get("subtask_type") else None
        return _id_of(steps[0] if steps else chord)

    def is_part_of(self, group_id: str | None) -> bool:
        """Say whether it is a part of this group: the body of a chord has the group's id as well, but no index."""
        return group_id is not None and self.row["group_id"] == group_id and "group_index" in self.message

    def links(self) -> Iterator[Link]:
        """Yield where relatives may be found."""
        row = self.row
        yield "parent", self.id
        yield from (("id", job_id) for job_id in (row["parent_id"], row["root_id"], self.body()) if job_id)
        yield from (("group", group_id) for group_id in (row["group_id"], self.message.get("header")) if group_id)
        yield from (("group" if is_group else "id", step) for step, is_group in self.later_steps())


def _id_of(signature: Any) -> str | None:
    return (signature.get("options") or {}).get("task_id") if signature else None


def family(connection: Connection, job_id: str, limit: int = 200) -> Family | None:
    """Return the relatives of a job, the nearest `limit` of them; None when there is no such job."""
    found: dict[str, _Relative] = {}
    distances: dict[str, int] = {}
    asked: set[Link] = set()
    wanted: set[Link] = {("id", job_id)}
    is_cut = False
    for distance in range(LEVELS):
        wanted -= asked | {("id", known) for known in found}
        if not wanted:
            break
        asked |= wanted
        level, has_more = _read(connection, wanted, found, limit - len(found))
        is_cut = is_cut or has_more
        found |= level
        distances |= dict.fromkeys(level, distance)
        wanted = {link for relative in level.values() for link in relative.links()}
    if job_id not in found:
        return None
    relatives = sorted(found.values(), key=lambda relative: (relative.row["created_at"], relative.id))
    return Family(
        job_id=job_id,
        root_id=found[job_id].row["root_id"],
        nodes=[_node(relative, distances[relative.id]) for relative in relatives],
        edges=_edges(relatives),
        groups=_groups(relatives),
        is_cut=is_cut or bool(wanted - asked - {("id", known) for known in found}),
    )


def _read(
    connection: Connection, wanted: set[Link], known: Mapping[str, _Relative], room: int
) -> tuple[dict[str, _Relative], bool]:
    """Read the next level in one statement, as far as there is room; say whether there is more."""
    values = {name: sorted(value for relation, value in wanted if relation == name) for name in _RELATIONS}
    # Those that are known come again, and must not take the place of others.
    most = room + len(known) + 1
    parts = [_SELECT.where(_RELATIONS[name].in_(some)).limit(most) for name, some in values.items() if some]
    labelled = [select(literal(number).label("part"), part.subquery()) for number, part in enumerate(parts)]
    by_part: dict[int, dict[str, _Relative]] = {}
    for row in connection.execute(union_all(*labelled)).mappings():
        if row["id"] not in known:
            by_part.setdefault(row["part"], {})[row["id"]] = _Relative(row, show(row["message"]) or {})
    # One of each relation in turn: a job with thousands of children still shows its group.
    in_turn = chain.from_iterable(zip_longest(*(part.items() for part in by_part.values())))
    level = dict(pair for pair in in_turn if pair is not None)
    return dict(islice(level.items(), room)), len(level) > room


def _node(relative: _Relative, distance: int) -> Node:
    return Node(
        **{name: relative.row[name] for name in _COLUMNS if name not in ("root_id", "message")}, distance=distance
    )


def _groups(relatives: Sequence[_Relative]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for relative in relatives:
        group_id = relative.row["group_id"]
        if relative.is_part_of(group_id):
            groups.setdefault(group_id, []).append(relative.id)
    return groups


def _edges(relatives: Sequence[_Relative]) -> list[Edge]:
    """Connect what is there. What is the next step, or the body, was not sent besides."""
    known = {relative.id for relative in relatives}
    kinds: dict[tuple[str, str], Kind] = {}
    for one in relatives:
        for target, kind in _what_follows(one, relatives):
            if target in known:
                kinds.setdefault((one.id, target), kind)
    for one in relatives:
        parent_id = one.row["parent_id"]
        if parent_id in known:
            awaits = one.message.get(AWAITS) == WaitReason.CHAIN
            kinds.setdefault((parent_id, one.id), Kind.THEN if awaits else Kind.SENT)
    return [Edge(source, target, kind) for (source, target), kind in kinds.items()]


def _what_follows(one: _Relative, relatives: Sequence[_Relative]) -> Iterator[tuple[str, Kind]]:
    """Yield what runs after a job has ended: its next step, or the body of its chord."""
    if body := one.body():
        yield body, Kind.PART
    steps = one.later_steps()
    if steps and not steps[-1][1]:
        yield steps[-1][0], Kind.THEN
    elif steps:
        yield from ((other.id, Kind.THEN) for other in relatives if other.is_part_of(steps[-1][0]))
    yield from ((other.id, Kind.PART) for other in relatives if one.is_part_of(other.message.get("header")))
