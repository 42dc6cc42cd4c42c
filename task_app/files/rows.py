"""Every statement on the table `file`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import Connection, RowMapping, Table, and_, delete, insert, or_, select, update

from ..jobs.file_uses import ARTEFACT, files_of, is_used
from .models import File
from .view import FileInfo, FileState

#: Where a look ended: (created_at, id) of the last file looked at.
Place = tuple[datetime, str]
#: `seen_at` is written at most this often.
SEEN_INTERVAL = timedelta(minutes=1)

_table = cast("Table", File.__table__)
_c = _table.c
_VIEW = (_c.id, _c.name, _c.size, _c.type, _c.sha256, _c.created_at, _c.made_by)


def expect(connection: Connection, file_id: str, *, name: str, kind: str, made_by: str | None, now: datetime) -> None:
    """Say that the bytes of a file are coming."""
    row = {"id": file_id, "name": name, "type": kind, "made_by": made_by, "created_at": now, "seen_at": now}
    connection.execute(insert(_table), row | {"state": FileState.COMING})


def touch(connection: Connection, file_id: str, now: datetime) -> bool:
    """Say that a file is being written, or was asked for. False when it is gone or about to go."""
    ours = (_c.id == file_id, _c.state != FileState.GOING)
    return connection.execute(update(_table).where(*ours).values(seen_at=now)).rowcount == 1


def arrived(connection: Connection, file_id: str, *, size: int, sha256: str) -> bool:
    """Let a file be found: its bytes are there. Safe to repeat. False when the sweeper has given it up."""
    ours = (_c.id == file_id, _c.state != FileState.GOING)
    values = {"state": FileState.HERE, "size": size, "sha256": sha256}
    return connection.execute(update(_table).where(*ours).values(values)).rowcount == 1


def let_go(connection: Connection, file_id: str) -> None:
    """Let a file be found no more; its bytes may be removed then."""
    connection.execute(update(_table).where(_c.id == file_id).values(state=FileState.GOING))


def forget(connection: Connection, file_id: str) -> bool:
    """Remove the row of a file whose bytes are removed."""
    return connection.execute(delete(_table).where(_c.id == file_id, _c.state == FileState.GOING)).rowcount == 1


def get(connection: Connection, file_id: str) -> tuple[FileInfo, datetime] | None:
    """Return a file and when it was last seen, or None."""
    row = connection.execute(
        select(*_VIEW, _c.seen_at).where(_c.id == file_id, _c.state == FileState.HERE)
    ).one_or_none()
    return None if row is None else (FileInfo(*row[:-1]), row[-1])


def existing(connection: Connection, file_ids: Sequence[str]) -> set[str]:
    """Return which of these files are there."""
    wanted = select(_c.id).where(_c.id.in_(file_ids), _c.state == FileState.HERE)
    return set(connection.execute(wanted).scalars())


def newest(connection: Connection, limit: int, after: Place | None) -> list[FileInfo]:
    """Return files, newest first, from after a place on."""
    wanted = select(*_VIEW).where(_c.state == FileState.HERE)
    if after is not None:
        wanted = wanted.where(_c.created_at <= after[0], or_(_c.created_at < after[0], _c.id < after[1]))
    rows = connection.execute(wanted.order_by(_c.created_at.desc(), _c.id.desc()).limit(limit))
    return [FileInfo(*row) for row in rows]


def lock(connection: Connection, file_id: str, *, wait: bool = True) -> RowMapping | None:
    """Return state and maker of a file, and keep everybody from using it anew until the transaction ends.

    None when it is not there, or, without `wait`, when somebody has it.
    """
    wanted = select(_c.state, _c.made_by, _c.created_at, _c.seen_at).where(_c.id == file_id)
    return connection.execute(wanted.with_for_update(skip_locked=not wait)).mappings().one_or_none()


def artefacts_of(connection: Connection, job_id: str) -> list[FileInfo]:
    """Return the files that a job has made, by name."""
    wanted = select(*_VIEW).where(_c.id.in_(files_of(job_id, ARTEFACT)), _c.state == FileState.HERE)
    return [FileInfo(*row) for row in connection.execute(wanted.order_by(_c.name, _c.id))]


def has_use(connection: Connection, file_id: str) -> bool:
    """Say whether some job uses a file."""
    return connection.execute(select(_c.id).where(_c.id == file_id, is_used(_c.id))).first() is not None


# -- for the sweeper ---------------------------------------------------------------------------------------------------


def unfinished(connection: Connection, seen_before: datetime, limit: int) -> list[str]:
    """Return files whose upload has stopped, or whose removal has."""
    stopped = and_(_c.state == FileState.COMING, _c.seen_at < seen_before)
    wanted = select(_c.id).where(or_(stopped, _c.state == FileState.GOING)).limit(limit)
    return list(connection.execute(wanted).scalars())


def walk(connection: Connection, after: Place, limit: int) -> list[RowMapping]:
    """Return files (id, created_at, made_by), oldest first, from after a place on."""
    wanted = (
        select(_c.id, _c.created_at, _c.made_by)
        .where(_c.created_at >= after[0], or_(_c.created_at > after[0], _c.id > after[1]), _c.state == FileState.HERE)
        .order_by(_c.created_at, _c.id)
        .limit(limit)
    )
    return list(connection.execute(wanted).mappings())
