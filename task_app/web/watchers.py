"""How many may watch at once: event streams and waits, at every door."""

import threading

from flask import Flask, current_app


class Watchers:
    """How many may watch at once. Each keeps a thread of the web server busy, and the others must go on answering."""

    def __init__(self, limit: int) -> None:
        self._places = threading.BoundedSemaphore(limit) if limit else None

    def take(self) -> bool:
        """Take a place if there is one; give it back with `leave`."""
        return self._places is not None and self._places.acquire(blocking=False)

    def leave(self) -> None:
        """Give a place back."""
        if self._places is not None:
            self._places.release()


def init_app(app: Flask) -> None:
    """Count the places of this app."""
    app.extensions["watchers"] = Watchers(app.config["WATCH_LIMIT"])


def watchers() -> Watchers:
    """Return the current app's places."""
    found: Watchers = current_app.extensions["watchers"]
    return found
