"""What keeps an app to one test: its settings, and its end."""

from pathlib import Path
from typing import Any

from flask import Flask

from ..extensions import db
from ..jobs.runtime import JobRuntime


def settings_for(folder: Path, url: str) -> dict[str, Any]:
    """Return settings that keep an app to its folder and its database.

    For `create_app(…, environment=False)`: files and mails are in the folder then, and no URL of this machine is read.
    """
    return {
        "TESTING": True,
        "INSTANCE_PATH": str(folder),
        "SQLALCHEMY_DATABASE_URI": url,
        "CELERY_BROKER_URL": "memory://",
        "PROGRESS_INTERVAL": 0,  # each report is written: the first one after a cancel sees it
        "SECRET_KEY": "only for tests",
        "AUTH": "off",
        "WTF_CSRF_ENABLED": False,
    }


def dispose(app: Flask) -> None:
    """Close what an app has open."""
    runtime: JobRuntime = app.extensions["jobs"]
    runtime.marks.at_once()  # its thread would open a connection anew
    runtime.engine.dispose()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
