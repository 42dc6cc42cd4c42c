"""Taking in the bytes of a file, a piece at a time: measured, hashed and kept."""

import hashlib
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import FileNotFound, FileTooLarge, FileTypeRefused
from ..jobs.on_commit import refuse_if_session_writes
from ..jobs.runtime import runtime, utcnow
from . import rows
from .names import clean_name, clean_type
from .removing import give_up
from .runtime import files_runtime

Source = bytes | Path | BinaryIO | Iterable[bytes]

PIECE = 256 * 1024  # bytes
#: While bytes come, the row says so this often, in seconds.
SIGN_OF_LIFE = 60.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file whose bytes are in the store, and that nobody can find yet."""

    id: str
    name: str
    type: str
    size: int
    sha256: str


def receive(source: Source, name: str | None, kind: str | None, *, made_by: str | None = None) -> Arrival:
    """Write a row and the bytes. Whoever calls this must let the file be found, or `remove` it.

    Raises FileTooLarge, FileTypeRefused (for uploads), FilesUnavailable, and whatever reading the source raises; then
    nothing is left.
    """
    if isinstance(cast("object", source), str):  # a path, or a text? Its author knows.
        raise TypeError("a file is made of bytes, a pathlib.Path or an open binary file, not of text")
    here, file_id, name = files_runtime(), f"file-{secrets.token_hex(16)}", clean_name(name)
    kind = clean_type(kind, name)
    if made_by is None and not here.types.allow(kind):
        raise FileTypeRefused(kind, str(here.types))
    refuse_if_session_writes()
    with runtime().engine.connect() as connection:
        rows.expect(connection, file_id, name=name, kind=kind, made_by=made_by, now=utcnow())
    meter = _Meter(file_id, here.size_limit)
    try:
        here.store.write(file_id, meter.through(_pieces(source)))
    except BaseException:
        give_up(file_id)
        raise
    return Arrival(file_id, name, kind, meter.size, meter.digest.hexdigest())


class _Meter:
    """Measures what passes through."""

    def __init__(self, file_id: str, limit: int) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self._file_id = file_id
        self._limit = limit

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass pieces on. Raises FileTooLarge, and FileNotFound when the sweeper has given the file up."""
        said = time.monotonic()
        for piece in pieces:
            self.size += len(piece)
            if self.size > self._limit:
                raise FileTooLarge(self._limit)
            self.digest.update(piece)
            yield piece
            if time.monotonic() - said > SIGN_OF_LIFE:
                said = time.monotonic()
                self._say_so()

    def _say_so(self) -> None:
        with runtime().engine.connect() as connection:
            if not rows.touch(connection, self._file_id, utcnow()):
                raise FileNotFound(self._file_id)


def _pieces(source: Source) -> Iterator[bytes]:
    match source:
        case Path():
            with source.open("rb") as stream:
                yield from _read(stream)
        case bytes():
            yield from (source[start : start + PIECE] for start in range(0, len(source), PIECE))
        case _ if hasattr(source, "read"):
            yield from _read(cast("BinaryIO", source))
        case _:
            yield from source


def _read(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece
