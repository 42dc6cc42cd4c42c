"""What the room of files keeps per app."""

from dataclasses import dataclass

from flask import current_app

from .names import Types
from .store import Store


@dataclass(frozen=True, slots=True)
class FileRuntime:
    """What the room keeps per app, under `app.extensions["files"]`."""

    store: Store
    size_limit: int  # bytes
    types: Types
    retention_days: float  # 0: for ever


def files_runtime() -> FileRuntime:
    """Return the current app's part of the room."""
    found: FileRuntime = current_app.extensions["files"]
    return found
