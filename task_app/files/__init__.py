"""Files: what tasks read, and what they make.

| file | holds |
|---|---|
| `hints` | `FileId`, the type hint of a parameter that wants a file |
| `service` | store, list, open, delete |
| `artefacts` | what a running job makes |
| `arriving`, `removing` | bytes and rows on their way in and out, in the order that a crash can do no harm to |
| `sweeping` | what nobody needs any more |
| `store` | the bytes, wherever they are kept |
| `names` | names and types of files, as they may be kept |
| `models`, `rows`, `view` | the table `file`, its statements, a file as it is read |
| `runtime` | the room's part of an app |

It knows neither HTTP nor Celery. Which jobs use a file is in the kernel, `jobs.file_uses`.
"""

from flask import Flask

from ..config import name_of
from ..errors import ConfigurationError
from . import models
from .names import Types
from .runtime import FileRuntime
from .store import Store

__all__ = ["init_app", "models"]


def init_app(app: Flask) -> None:
    """Give the app its files, under `app.extensions["files"]`. Opens nothing yet."""
    try:
        types = Types.parse(app.config["FILE_TYPES"])
    except ValueError as error:
        raise ConfigurationError(name_of(app, "FILE_TYPES"), str(error)) from None
    app.extensions["files"] = FileRuntime(
        store=Store(app.config["FILES_URL"]),
        size_limit=app.config["FILE_SIZE_LIMIT"],
        types=types,
        retention_days=app.config["FILE_RETENTION_DAYS"],
    )
