"""Keys that were looked up a moment ago, so that not each request of a busy client asks the database."""

import time
from datetime import timedelta
from typing import TypeVar

from ..jobs.runtime import utcnow
from . import service
from .view import KeyView

#: Seconds. A key that is revoked elsewhere opens nothing any more after this time.
LIFETIME = 1.0

T = TypeVar("T")


class KeyMemory:
    """What this process knows of keys, none of it older than a second. Threads share it; only real keys fill it."""

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self._keys: dict[str, tuple[float, KeyView]] = {}
        self._any_live: tuple[float, bool] | None = None
        self._noted: dict[str, float] = {}

    def get(self, key_id: str) -> KeyView | None:
        """Return a key as it was at most a second ago."""
        known = self._fresh(self._keys.get(key_id))
        if known is not None:
            return known
        begin = time.monotonic()
        found = service.get(key_id)
        if found is not None:
            self._keys[key_id] = (begin, found)
        return found

    def any_live(self) -> bool:
        """Say whether there was a live key at most a second ago."""
        known = self._fresh(self._any_live)
        if known is not None:
            return known
        begin = time.monotonic()
        found = service.any_live()
        self._any_live = (begin, found)
        return found

    def note_use(self, key: KeyView) -> None:
        """Have it written that a key is used: by this process at most once a minute."""
        now = time.monotonic()
        if now - self._noted.get(key.id, -float("inf")) >= service.USED_INTERVAL / timedelta(seconds=1):
            self._noted[key.id] = now
            service.note_use(key.id, utcnow())

    def forget(self) -> None:
        """Look anew from now on; for whoever has just changed keys."""
        self._keys.clear()
        self._any_live = None

    def _fresh(self, known: tuple[float, T] | None) -> T | None:
        return known[1] if known is not None and time.monotonic() - known[0] < self._lifetime else None
