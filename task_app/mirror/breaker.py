"""Remembers that the broker was away, so that not everybody pays to find out again (a circuit breaker)."""

import threading
import time

FIRST_PAUSE = 0.5  # seconds
#: Short, because everything that waits must be on its way within seconds of the broker's return.
LONGEST_PAUSE = 2.0


class Breaker:
    """Closed while the broker answers. After a failure it stays open for a pause that grows with each failure.

    When the pause is over, one caller is let through to try; the others are refused until that one knows. Safe to use
    from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause = 0.0
        self._reason: str | None = None
        self._try_at = 0.0

    def refusal(self) -> str | None:
        """Return why the broker is not even to be tried now, or None."""
        with self._lock:
            return self._reason if self._reason is not None and time.monotonic() < self._try_at else None

    def is_open(self) -> bool:
        """Say whether the last try failed, however long ago."""
        return self._reason is not None

    def enter(self) -> str | None:
        """Ask to try the broker: None for yes, else why not. After a pause, one yes is given for the next pause."""
        with self._lock:
            if self._reason is None:
                return None
            now = time.monotonic()
            if now < self._try_at:
                return self._reason
            self._try_at = now + self._pause
            return None

    def failed(self, reason: str) -> None:
        """The broker could not be reached."""
        with self._lock:
            self._reason = reason
            self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, self._pause * 2))
            self._try_at = time.monotonic() + self._pause

    def succeeded(self) -> None:
        """The broker took a message."""
        if self._reason is not None:
            with self._lock:
                self._reason, self._pause = None, 0.0
