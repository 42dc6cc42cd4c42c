"""Deletes ended jobs, and workers long gone, when their time to be kept is over."""

from datetime import timedelta

from flask import Flask
from sqlalchemy import Connection

from ..jobs import groups, queries, transitions, workers
from ..jobs.runtime import runtime, utcnow
from ..jobs.states import State

#: Small, because on SQLite nobody else writes meanwhile.
BATCH = 200
PAUSE = 60.0  # seconds
PAUSE_BETWEEN_BATCHES = 0.2
KEEP_WORKERS = timedelta(days=7)


class Pruner:
    """Deletes by age and state, in small batches, and never the newest failures (`KEEP_…` in the configuration)."""

    name = "pruner"

    def __init__(self, app: Flask) -> None:
        self.pause = PAUSE
        days = {state: app.config[f"KEEP_{state}_DAYS"] for state in (State.SUCCESS, State.FAILURE, State.REVOKED)}
        self._keep = {state: timedelta(days=number) for state, number in days.items() if number}
        self._newest = {State.FAILURE: app.config["KEEP_NEWEST_FAILURES"]}

    def run(self) -> int:
        """Delete up to a batch of each state; come back soon while there is more."""
        with runtime().engine.connect() as connection:
            deleted = [self._prune(connection, state, keep) for state, keep in self._keep.items()]
            workers.prune(connection, KEEP_WORKERS)
            if self._keep:
                groups.prune(connection, utcnow() - max(self._keep.values()), BATCH)
        self.pause = PAUSE_BETWEEN_BATCHES if BATCH in deleted else PAUSE
        return sum(deleted)

    def _prune(self, connection: Connection, state: State, keep: timedelta) -> int:
        newest = self._newest.get(state, 0)
        old = queries.prunable(connection, state, utcnow() - keep, keep_newest=newest, limit=BATCH)
        return transitions.delete_many_ended(connection, old) if old else 0
