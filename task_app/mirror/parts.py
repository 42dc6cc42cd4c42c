"""How many parts of a chord have ended, as the progress of the job that waits for them."""

import time
from typing import Any

from sqlalchemy import Connection

from ..jobs import queries, transitions
from . import codec

#: Up to this many parts each one is shown as it ends. Of more, one per interval and process, so the number may be old
#: until the next part ends: a report takes 1 ms, and 7 ms where each write goes to the disk (MariaDB).
SHOWN_AT_ONCE = 20
#: Two parts that end together may write at the same time. Who wins against the second try has counted this part too:
#: it has read the row after the write that won against the first.
TRIES = 2
#: Chords whose last report is remembered.
REMEMBERED = 1000


class PartsEnded:
    """Writes the progress of waiting chord bodies. Nothing depends on it but what people see."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._shown_at: dict[str, float] = {}

    def show(self, connection: Connection, group_id: str, size: int, body: Any, *, at_once: bool = False) -> None:
        """Let the body's row say how many parts have ended; with `at_once`, however many there are."""
        body_id = ((body or {}).get("options") or {}).get("task_id")
        if not body_id or not (at_once or size <= SHOWN_AT_ONCE or self._is_time_for(group_id)):
            return
        for _ in range(TRIES):
            joined = queries.parts_ended(connection, body_id, group_id)
            if joined is None:
                return
            meta = {"current": joined.ended, "total": max(size, joined.ended), "message": "parts have ended"}
            if transitions.report_parts(connection, body_id, joined.version, codec.dumps(meta, "the progress")):
                return

    def _is_time_for(self, group_id: str) -> bool:
        now = time.monotonic()
        if now - self._shown_at.get(group_id, -self._interval) < self._interval:
            return False
        if len(self._shown_at) >= REMEMBERED:
            self._shown_at.clear()
        self._shown_at[group_id] = now
        return True
