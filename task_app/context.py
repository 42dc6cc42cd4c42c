"""The app context for code that Celery calls."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, current_app


@contextmanager
def app_context(app: Flask) -> Iterator[None]:
    """Make `app` the current app; keeps a context of the same app, and with it its database session, as it is."""
    if current_app and current_app._get_current_object() is app:  # type: ignore[attr-defined]
        yield
    else:
        with app.app_context():
            yield
