"""The app context for code that Celery calls."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, current_app, has_app_context


@contextmanager
def app_context(app: Flask) -> Iterator[None]:
    """Make `app` the current app; keeps a context of the same app, and with it its database session, as it is."""
    if has_app_context() and current_app._get_current_object() is app:  # type: ignore[attr-defined]
        yield
    else:
        with app.app_context():
            yield
