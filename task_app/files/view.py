"""A file as readers see it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ..jobs.view import timestamp


class FileState(StrEnum):
    """Where a file is in its life. Only one that is HERE can be found."""

    COMING = "coming"  # its bytes are being written, or whoever wrote them is gone
    HERE = "here"
    GOING = "going"  # its bytes are being removed; the row goes last


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What is known of a stored file. `type` is what was said of it; nobody has looked inside."""

    id: str
    name: str
    size: int
    type: str
    sha256: str
    created_at: datetime
    made_by: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON, the same at every door."""
        return {
            "id": self.id,
            "name": self.name,
            "size": self.size,
            "type": self.type,
            "sha256": self.sha256,
            "created_at": timestamp(self.created_at),
            "made_by": self.made_by,
        }
