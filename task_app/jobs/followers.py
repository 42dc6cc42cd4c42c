"""What was to follow a job, the later steps of its chain and the body of its chord, when the job is run once more."""

from typing import Any

from sqlalchemy import Connection

from ..errors import InputMissing
from . import groups, queries, transitions
from .packing import load
from .runtime import utcnow
from .states import WaitReason, is_final
from .submission import AWAITS


def refuse_without_input(connection: Connection, job_id: str) -> None:
    """Raise InputMissing for a job that ended before whatever it waited for gave it its arguments."""
    found = queries.row(connection, job_id, "message", "parent_id", "started_at")
    if found is None or found["started_at"] is not None:
        return
    match _opened(found["message"]).get(AWAITS):
        case WaitReason.CHAIN:
            raise InputMissing(job_id, f"retry the step before it, {found['parent_id']},")
        case WaitReason.CHORD:
            raise InputMissing(job_id, "retry the parts of its chord that have not succeeded,")


def revive(connection: Connection, job_id: str) -> None:
    """Let what was to follow a job wait for it again, as far as it has ended without having been started."""
    found = queries.row(connection, job_id, "message", "group_id")
    message = _opened(found["message"]) if found else {}
    for step in message.get("chain") or ():
        # The last one may be a part of a chord: then the body waits again as well.
        _wait_again(connection, _id_of(step), WaitReason.CHAIN)
    body = _id_of(message.get("chord"))
    if found and _wait_again(connection, body, WaitReason.CHORD):
        groups.save(connection, found["group_id"], unjoined=True, now=utcnow())


def _wait_again(connection: Connection, job_id: str | None, reason: WaitReason) -> bool:
    found = queries.row(connection, job_id, "state", "attempt", "started_at", "message") if job_id else None
    if found is None or job_id is None or not is_final(found["state"]) or found["started_at"] is not None:
        return False
    if AWAITS not in _opened(found["message"]):
        return False  # it got its input and was ended before a worker took it
    if not transitions.await_again(connection, job_id, found["attempt"], reason=reason):
        return False
    revive(connection, job_id)
    return True


def _opened(message: str | None) -> dict[str, Any]:
    opened: dict[str, Any] = load(message) if message else {}
    return opened


def _id_of(signature: Any) -> str | None:
    return (signature.get("options") or {}).get("task_id") if signature else None
