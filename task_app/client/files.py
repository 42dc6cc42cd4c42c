"""Files of the service, as the client sees them."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .errors import JobsError


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file that the service keeps. `type` is what was said of it; nobody has looked inside."""

    id: str
    name: str
    size: int
    type: str
    sha256: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Make it of what the service says."""
        return cls(**{name: document[name] for name in cls.__slots__})


def write(pieces: Iterable[bytes], digest: str, path: Path) -> None:
    """Write a download beside its place, and move it there once it is whole (`Repr-Digest`)."""
    partial, found = path.with_name(f".{path.name}.part"), hashlib.sha256()
    try:
        with partial.open("wb") as stream:
            for piece in pieces:
                found.update(piece)
                stream.write(piece)
        wanted = digest.removeprefix("sha-256=:").removesuffix(":")
        if wanted != base64.b64encode(found.digest()).decode():
            raise JobsError(f"{path.name} did not arrive as it was sent")
        partial.replace(path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
