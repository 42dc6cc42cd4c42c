"""Why a job waits that waits for other jobs."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, func, select

from .. import queries, states
from ..models import Job
from ..states import WaitReason
from ..wording import Ref, Sentence
from .look import Look
from .words import Cause, Explanation

_c = Job.__table__.c

#: How many of the jobs that one waits for are named.
NAMED = 5
#: How many parts of a chord are counted.
PARTS = 10_000


def why_blocked(look: Look) -> Explanation:
    """Say what a blocked job waits for, and how far that is."""
    return _EXPLAINERS.get(look.job.blocked_by or "", _replaced)(look)


def _chained(look: Look) -> Explanation:
    """A later step of a chain: name the step before, and what it is at."""
    before = look.job.parent_id
    step = queries.get(look.connection, before) if before else None
    if before is None or step is None:
        return look.says(Cause.CHAIN, ("The step of its chain before it is gone; it is ended in a moment",), safe=True)
    facts: dict[str, Any] = {"step": before, "step_task": step.task, "step_state": step.state}
    name: Sentence = ("It waits for the step of its chain before it, ", Ref("job", before), f" ({step.task})")
    if states.is_final(step.state):
        follows = "sent in a moment" if step.state == states.State.SUCCESS else "ended as well"
        return look.says(Cause.CHAIN, (*name, f", which is {step.state}: it is {follows}"), safe=True, facts=facts)
    reason = step.waiting_for(look.now)
    facts["step_waiting_for"] = reason
    which = f", which is {step.state}" + (f" and waits itself: {reason}" if reason else "")
    return look.says(Cause.CHAIN, (*name, which), safe=True, facts=facts)


def _joined(look: Look) -> Explanation:
    """The body of a chord: count the parts that have ended."""
    header = look.job.message.get("header")
    group = queries.group(look.connection, header) if header else None
    if not header or group is None:
        return look.says(Cause.CHORD, ("It waits for the parts of its chord, which are being sent",), safe=True)
    near = select(_c.finished_at).where(_c.group_id == header).limit(PARTS).subquery()
    known, ended = look.connection.execute(select(func.count(), func.count(near.c.finished_at))).one()
    total = max(known, group["size"] or 0)
    facts: dict[str, Any] = {"group": header, "parts": total, "ended": ended}
    facts["unfinished"] = _unfinished(look, _c.group_id == header)
    if known == PARTS:
        return look.says(Cause.CHORD, ("It waits for the many parts of its chord",), safe=True, facts=facts)
    text = f"It waits for the parts of its chord: {ended} of {total} have ended"
    return look.says(Cause.CHORD, (text,), safe=True, facts=facts)


def _replaced(look: Look) -> Explanation:
    """A task that put others in its place: name those that have not ended."""
    unfinished = _unfinished(look, _c.parent_id == look.job.id)
    sentences: list[Sentence] = [
        ("Its task put other tasks in its place; the last of them runs under this id when the others have ended",)
    ]
    sentences += [("One of them is ", Ref("job", job["id"]), f" ({job['task']}, {job['state']})") for job in unfinished]
    return look.says(Cause.REPLACEMENT, *sentences, safe=True, facts={"unfinished": unfinished})


def _unfinished(look: Look, where: ColumnElement[bool]) -> list[dict[str, str]]:
    statement = select(_c.id, _c.task, _c.state).where(where, _c.id != look.job.id, _c.finished_at.is_(None))
    return [dict(row) for row in look.connection.execute(statement.limit(NAMED)).mappings()]


_EXPLAINERS: dict[str, Callable[[Look], Explanation]] = {WaitReason.CHAIN: _chained, WaitReason.CHORD: _joined}
