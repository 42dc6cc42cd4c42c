"""Files that jobs make. The row of a job names them, so that whoever reads the job needs no other query."""

import json
from datetime import datetime

from sqlalchemy import Connection

from ..errors import FilesUnavailable, JobCancelled, ValueNotStorable
from ..jobs import file_uses, transitions
from ..jobs.database import transaction
from ..jobs.runtime import runtime
from . import rows
from .arriving import Arrival, Source, receive
from .removing import remove_or_leave

#: Names in one job: its row is read whenever it is shown.
MOST = 200


def receive_for(job_id: str, source: Source, name: str, kind: str | None) -> Arrival:
    """Take in the bytes of an artefact. `keep` follows, or `give_up`."""
    return receive(source, name, kind, made_by=job_id)


def keep(arrival: Arrival, job_id: str, attempt: int, claimed_at: datetime | None) -> None:
    """Let a file be an artefact of a running job, in place of one with its name. Safe to repeat.

    Raises JobCancelled when the attempt was given up, and ValueNotStorable for too many.
    """
    with transaction(runtime().engine) as connection:
        if not transitions.hold(connection, job_id, attempt, claimed_at=claimed_at):
            raise JobCancelled(f"attempt {attempt} of {job_id} was given up")
        before = rows.artefacts_of(connection, job_id)
        replaced = [made.id for made in before if made.name == arrival.name and made.id != arrival.id]
        if len(before) - len(replaced) >= MOST:
            raise ValueNotStorable(f"a job keeps at most {MOST} artefacts")
        for file_id in replaced:
            rows.lock(connection, file_id)
            file_uses.release(connection, file_id, of_job=job_id)
        # One that was passed on to another job stays until that needs it no more.
        unused = [file_id for file_id in replaced if not rows.has_use(connection, file_id)]
        for file_id in unused:
            rows.let_go(connection, file_id)
        if not rows.arrived(connection, arrival.id, size=arrival.size, sha256=arrival.sha256):
            raise FilesUnavailable("the file took so long to come that it was given up")
        file_uses.note_artefact(connection, job_id, arrival.id)
        write(connection, job_id)
    for file_id in unused:
        remove_or_leave(file_id)


def hold(connection: Connection, job_id: str) -> None:
    """Keep others from changing what a job has made, until the transaction ends."""
    transitions.hold(connection, job_id)


def write(connection: Connection, job_id: str) -> None:
    """Write the artefacts of a job into its row."""
    made = [
        {"id": file.id, "name": file.name, "size": file.size, "type": file.type, "sha256": file.sha256}
        for file in rows.artefacts_of(connection, job_id)
    ]
    transitions.set_artefacts(connection, job_id, json.dumps(made) if made else None)
