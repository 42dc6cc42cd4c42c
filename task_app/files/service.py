"""What one can do with files. Functions need an app context.

A file's row comes first, its bytes after, its state last: whoever dies in between leaves a row for the sweeper.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from ..errors import FileInUse, FileNotFound, FilesUnavailable, SessionHoldsLock
from ..jobs import file_uses
from ..jobs.database import transaction
from ..jobs.on_commit import refuse_if_session_writes
from ..jobs.runtime import runtime, utcnow
from . import artefacts, rows
from .arriving import PIECE, Source, receive
from .removing import give_up, remove_or_leave
from .runtime import files_runtime
from .view import FileInfo, FileState


def store(source: Source, name: str | None = None, type: str | None = None) -> FileInfo:  # noqa: A002 - as in FileInfo
    """Keep a file: bytes, a path, an open binary file, or an iterable of pieces. Returns it when it is on the disk.

    `name` is made fit to be kept, see `names.clean_name`; of a path it is the path's own if none is given. Raises
    FileTooLarge, FileTypeRefused, FilesUnavailable, and whatever reading the source raises; then nothing is left.
    """
    if name is None and isinstance(source, Path):
        name = source.name
    arrival = receive(source, name, type)
    with runtime().engine.connect() as connection:
        if not rows.arrived(connection, arrival.id, size=arrival.size, sha256=arrival.sha256):
            give_up(arrival.id)
            raise FilesUnavailable("the file took so long to come that it was given up")
    return info(arrival.id)


def info(file_id: str) -> FileInfo:
    """Return what is known of a file. Raises FileNotFound."""
    return _found(file_id)[0]


def existing(file_ids: Sequence[str]) -> set[str]:
    """Return which of these files are there."""
    possible = [file_id for file_id in file_ids if file_uses.is_file_id(file_id)]
    found: set[str] = set()
    with runtime().engine.connect() as connection:
        for start in range(0, len(possible), file_uses.CHUNK):
            found |= rows.existing(connection, possible[start : start + file_uses.CHUNK])
    return found


def page(*, limit: int, after: rows.Place | None = None) -> tuple[list[FileInfo], rows.Place | None]:
    """Return up to `limit` files, newest first, from after a place on; and where the page ended, if there are more."""
    with runtime().engine.connect() as connection:
        found = rows.newest(connection, limit + 1, after)
    more = len(found) > limit
    found = found[:limit]
    return found, (found[-1].created_at, found[-1].id) if more else None


@contextmanager
def open_file(file_id: str) -> Iterator[BinaryIO]:
    """Open a file to read its bytes. Raises FileNotFound, FilesUnavailable."""
    with closing(open_bytes(file_id)[1]) as stream:
        yield stream


def open_bytes(file_id: str) -> tuple[FileInfo, BinaryIO]:
    """Return a file and its bytes, for the caller to close. Raises FileNotFound, FilesUnavailable."""
    found, seen_at = _found(file_id)
    try:
        stream = files_runtime().store.open(file_id)
    except FileNotFoundError:
        raise FileNotFound(file_id) from None
    if seen_at < utcnow() - rows.SEEN_INTERVAL:
        with suppress(SessionHoldsLock):
            refuse_if_session_writes()
            with runtime().engine.connect() as connection:
                rows.touch(connection, file_id, utcnow())
    return found, stream


@contextmanager
def file_path(file_id: str) -> Iterator[Path]:
    """Give a file a path on this machine for a while: fetched, where the store is elsewhere. To be read only.

    Raises FileNotFound, FilesUnavailable.
    """
    found, stream = open_bytes(file_id)
    with closing(stream):
        local = files_runtime().store.local_path(file_id)
        if local is not None:
            yield local
            return
        with TemporaryDirectory(prefix="task_app-") as folder:
            path = Path(folder, found.name)
            with path.open("wb") as copy:
                shutil.copyfileobj(stream, copy, PIECE)
            yield path


def delete(file_id: str) -> None:
    """Remove a file for good; jobs that have made it name it no more. Raises FileNotFound, FileInUse."""
    made_by = info(file_id).made_by
    with transaction(runtime().engine) as connection:
        if made_by is not None:
            artefacts.hold(connection, made_by)  # before the file, as who saves an artefact does
        row = rows.lock(connection, file_id)
        if row is None or row["state"] != FileState.HERE:
            raise FileNotFound(file_id)
        if job_id := file_uses.unfinished_user(connection, file_id):
            raise FileInUse(file_id, job_id)
        rows.let_go(connection, file_id)
        file_uses.release(connection, file_id)
        if made_by is not None:
            artefacts.write(connection, made_by)
    remove_or_leave(file_id)


def _found(file_id: str) -> tuple[FileInfo, datetime]:
    with runtime().engine.connect() as connection:
        found = rows.get(connection, file_id) if file_uses.is_file_id(file_id) else None
    if found is None:
        raise FileNotFound(file_id)
    return found
