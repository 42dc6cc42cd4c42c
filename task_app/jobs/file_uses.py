"""Which jobs use which files. Files themselves are the matter of `task_app.files`.

The ids stand in the arguments, and can be told from any other text; so no way to make a job, or to give it other
arguments, can forget to say which files it needs. A job without files costs nothing here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, Select, String, Table, column, delete, exists, insert, select, table

from .columns import FileKey
from .models import FileUse, Job

ARGUMENT, ARTEFACT = "argument", "artefact"
#: `files.view.FileState.HERE`: the state of a file that can be found.
HERE = "here"
#: Ids in one IN.
CHUNK = 500

_BEGINNING = '"file-'
_ID_IN_JSON = re.compile(r'"(file-[0-9a-f]{32})"')
_ID = re.compile(r"file-[0-9a-f]{32}")

# A neighbour's table: all that is needed here is whether a file is there.
_files = table("file", column("id", FileKey), column("state", String))
_uses = cast("Table", FileUse.__table__)


def is_file_id(value: object) -> bool:
    """Say whether a file could have this id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def mention_files(*texts: str) -> bool:
    """Say whether these JSON texts could name a file."""
    return any(_BEGINNING in text for text in texts)


def named_in(*texts: str) -> set[str]:
    """Return the ids of files in JSON texts."""
    return {found for text in texts if _BEGINNING in text for found in _ID_IN_JSON.findall(text)}


def note_uses(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keep the files that these new jobs (id, args, kwargs) name, for as long as the jobs are there.

    In the transaction that writes the jobs. A file that is not there, or about to go, is not kept by being named.
    """
    wanted = {row["id"]: ids for row in rows if (ids := named_in(row["args"], row["kwargs"]))}
    if wanted:
        here = _lock(connection, set().union(*wanted.values()))
        _insert(connection, {(job_id, file_id) for job_id, ids in wanted.items() for file_id in ids & here})


def note_more_uses(connection: Connection, job_id: str, args: str, kwargs: str) -> None:
    """Do the same for a job that was there before, and may have other arguments now."""
    here = _lock(connection, named_in(args, kwargs))
    if here:
        known = select(_uses.c.file_id).where(_uses.c.job_id == job_id, _uses.c.kind == ARGUMENT)
        _insert(connection, {(job_id, file_id) for file_id in here - set(connection.execute(known).scalars())})


def is_used(file_id: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that some job uses a file."""
    return exists().where(_uses.c.file_id == file_id)


def used_among(connection: Connection, file_ids: Sequence[str]) -> set[str]:
    """Return those of these files that some job uses."""
    found: set[str] = set()
    for start in range(0, len(file_ids), CHUNK):
        these = _uses.c.file_id.in_(file_ids[start : start + CHUNK])
        found.update(connection.execute(select(_uses.c.file_id).where(these).distinct()).scalars())
    return found


def files_of(job_id: str, kind: str) -> Select[Any]:
    """Return the query for the files that a job uses in this way."""
    return select(_uses.c.file_id).where(_uses.c.job_id == job_id, _uses.c.kind == kind)


def unfinished_user(connection: Connection, file_id: str) -> str | None:
    """Return a job that uses a file and has not ended, or None."""
    jobs = Job.__table__.c
    user = select(jobs.id).join(FileUse, FileUse.job_id == jobs.id)
    return connection.execute(user.where(FileUse.file_id == file_id, jobs.finished_at.is_(None)).limit(1)).scalar()


def note_artefact(connection: Connection, job_id: str, file_id: str) -> None:
    """Keep a file for as long as the job is there that has made it. Safe to repeat."""
    if file_id not in set(connection.execute(files_of(job_id, ARTEFACT)).scalars()):
        connection.execute(insert(_uses), {"job_id": job_id, "file_id": file_id, "kind": ARTEFACT})


def release(connection: Connection, file_id: str, *, of_job: str | None = None) -> None:
    """Let no job use a file any more; with `of_job`, only let this one have made it no more."""
    uses = delete(_uses).where(_uses.c.file_id == file_id)
    if of_job is not None:
        uses = uses.where(_uses.c.job_id == of_job, _uses.c.kind == ARTEFACT)
    connection.execute(uses)


def _lock(connection: Connection, file_ids: set[str]) -> set[str]:
    """Return those of the files that are there. The lock, and the sweeper's own, let one of both see the other."""
    ids = sorted(file_ids)
    found: set[str] = set()
    for start in range(0, len(ids), CHUNK):
        these = select(_files.c.id).where(_files.c.id.in_(ids[start : start + CHUNK]), _files.c.state == HERE)
        found.update(connection.execute(these.with_for_update(read=True)).scalars())
    return found


def _insert(connection: Connection, uses: set[tuple[str, str]]) -> None:
    if uses:
        rows = [{"job_id": job_id, "file_id": file_id, "kind": ARGUMENT} for job_id, file_id in sorted(uses)]
        connection.execute(insert(_uses), rows)
