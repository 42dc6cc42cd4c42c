"""The bytes of files, on any file system that fsspec knows. Whose they are and whether they are whole, the rows say."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ..errors import FilesUnavailable

logger = logging.getLogger(__name__)

#: Bytes that a store elsewhere gets at once, and that wait in memory until then. S3 takes 10 000 of them.
BLOCK = 16 * 1024 * 1024


class Store:
    """Where bytes are kept: an address, under which every file has a path that follows from its id alone."""

    def __init__(self, url: str) -> None:
        self.url = url

    def write(self, file_id: str, chunks: Iterable[bytes]) -> None:
        """Write the bytes of a file, and see them to the disk. After an error some may be there, for `remove`.

        Raises FilesUnavailable, and whatever making the chunks raises.
        """
        file_system, path = self._place(file_id)
        with _answering():
            if not _keeps_objects(file_system):
                file_system.makedirs(path.rpartition("/")[0], exist_ok=True)
            stream = file_system.open(path, "wb", block_size=BLOCK)
        try:
            for chunk in chunks:
                with _answering():
                    stream.write(chunk)
        except BaseException:
            _abandon(stream)
            raise
        with _answering():
            _flush(stream, file_system)
            stream.close()

    def open(self, file_id: str) -> BinaryIO:
        """Return the bytes of a file, to be read and closed. Raises FileNotFoundError, FilesUnavailable."""
        file_system, path = self._place(file_id)
        with _answering(FileNotFoundError):
            return cast("BinaryIO", file_system.open(path, "rb"))

    def remove(self, file_id: str) -> None:
        """Remove the bytes of a file, if there are any. Raises FilesUnavailable."""
        file_system, path = self._place(file_id)
        with _answering(), suppress(FileNotFoundError):
            file_system.rm_file(path)

    def local_path(self, file_id: str) -> Path | None:
        """Return where the bytes are, if that is a file on this machine."""
        file_system, path = self._place(file_id)
        return Path(path) if isinstance(file_system, LocalFileSystem) else None

    def _place(self, file_id: str) -> tuple[Any, str]:
        # Asked for anew each time: fsspec remembers file systems by process and thread, so that a fork is safe.
        with _answering():
            file_system, root = url_to_fs(self.url)
        digits = file_id.removeprefix("file-")
        return file_system, f"{root.rstrip('/')}/{digits[:2]}/{digits}"


@contextmanager
def _answering(*expected: type[Exception]) -> Iterator[None]:
    """Raise FilesUnavailable for whatever a store complains about, and leave to the log what that is."""
    try:
        yield
    except expected:
        raise
    except Exception as error:  # every store has errors of its own
        logger.warning("the store of files refuses, or is away: %s: %s", type(error).__name__, error)
        raise FilesUnavailable("the store of files can't be reached, or takes nothing now") from error


def _keeps_objects(file_system: Any) -> bool:
    """Say whether there are no folders to be made: making one would make a bucket."""
    protocol = file_system.protocol
    return "s3" in ((protocol,) if isinstance(protocol, str) else protocol)


def _flush(stream: Any, file_system: Any) -> None:
    """Have the bytes of a local file on the disk, with its entry in the folder, before anybody is told of it."""
    if not isinstance(file_system, LocalFileSystem):
        return
    stream.flush()
    os.fsync(stream.fileno())
    folder = os.open(Path(stream.path).parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _abandon(stream: Any) -> None:
    """Close without finishing: most stores make the object only at the end, and then need not make it at all."""
    with suppress(Exception):
        stream.discard()
    if hasattr(stream, "forced"):  # fsspec's own buffer would be sent when it is closed
        stream.closed = True
    with suppress(Exception):
        stream.close()
