"""The key that signs sessions: made on a machine that runs everything embedded, asked for elsewhere."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from flask import Flask

from .config import name_of
from .errors import ConfigurationError

FILE = "secret_key"


def ensure(app: Flask) -> None:
    """Give the app the key under instance/, if it has none and all is embedded; several web servers must share one."""
    if app.config["SECRET_KEY"] is None and app.config["EMBEDDED_BROKER"] and app.config["EMBEDDED_DATABASE"]:
        app.config["SECRET_KEY"] = _read_or_make(Path(app.instance_path, FILE))


def demand(app: Flask) -> None:
    """Refuse to go on without a key. For the web server: workers and beat have no sessions."""
    if app.config["SECRET_KEY"] is None:
        problem = (
            "must be given where broker and database are servers: a long random text, the same in every web process"
        )
        raise ConfigurationError(name_of(app, "SECRET_KEY"), problem)


def _read_or_make(file: Path) -> str:
    try:
        if not file.exists():
            _make(file)
        key = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("SECRET_KEY", f"can't keep it in {file}: {error}") from None
    if not key:
        raise ConfigurationError("SECRET_KEY", f"{file} is empty; delete it")
    return key


def _make(file: Path) -> None:
    """Write a key as a whole or not at all. Of processes that come together the first wins, and all read its key."""
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=FILE)  # nobody else may read it
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(32) + "\n")
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileExistsError):
            os.link(draft, file)
    finally:
        os.unlink(draft)  # noqa: PTH108 - mkstemp gives a name, no Path
