"""How many may watch at once: event streams and waits, at every door."""

import threading

from flask import Flask, current_app, request


class Watchers:
    """How many may watch at once. Each keeps a thread of the web server busy, and the others must go on answering."""

    def __init__(self, limit: int) -> None:
        self._places = threading.BoundedSemaphore(limit) if limit else None

    def take(self) -> bool:
        """Take a place if there is one; give it back with `leave`."""
        return self._places is not None and _others_are_answered() and self._places.acquire(blocking=False)

    def leave(self) -> None:
        """Give a place back."""
        if self._places is not None:
            self._places.release()


def _others_are_answered() -> bool:
    """Say whether the server goes on while somebody watches. gunicorn's default worker has one thread and doesn't."""
    is_server = "SERVER_SOFTWARE" in request.environ  # test clients name none, and need no threads
    return bool(request.environ["wsgi.multithread"]) or not is_server


def init_app(app: Flask) -> None:
    """Count the places of this app."""
    app.extensions["watchers"] = Watchers(app.config["WATCH_LIMIT"])


def watchers() -> Watchers:
    """Return the current app's places."""
    found: Watchers = current_app.extensions["watchers"]
    return found
