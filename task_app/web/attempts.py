"""Failed sign-ins, counted: whoever tries keys has to wait.

Each web process counts for itself, in memory. The keys are too long to be guessed anyway; this spares the log and
the database.
"""

import math
import time

from flask import Flask, current_app
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from ..addresses import neighbourhood

#: Failures per minute: of one address, and of all together.
EACH = RateLimitItemPerMinute(10)
ALL = RateLimitItemPerMinute(100)


class FailedAttempts:
    """How often, and from where. Threads share it."""

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def wait(self, address: str | None) -> int:
        """Return for how many seconds nobody may try from this address; 0 if they may now."""
        full = [
            self._limiter.get_window_stats(limit, *who).reset_time
            for limit, who in ((EACH, ("each", neighbourhood(address))), (ALL, ("all",)))
            if not self._limiter.test(limit, *who)
        ]
        return max(1, math.ceil(max(full) - time.time())) if full else 0

    def failed(self, address: str | None) -> None:
        """Count a failure."""
        self._limiter.hit(EACH, "each", neighbourhood(address))
        self._limiter.hit(ALL, "all")


def attempts() -> FailedAttempts:
    """Return the current app's counts. They are made when first needed: the storage starts a thread."""
    found: FailedAttempts = current_app.extensions.setdefault("failed_attempts", None) or _begin(current_app)
    return found


def _begin(app: Flask) -> FailedAttempts:
    made = app.extensions["failed_attempts"] = FailedAttempts()
    return made
