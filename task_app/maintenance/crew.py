"""The services of one process, started and stopped together."""

import time
from collections.abc import Sequence

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from ..jobs import workers
from ..jobs.runtime import JobRuntime
from ..mirror.patience import insist
from .heartbeat import Heartbeat
from .runner import Runner, Service

#: Seconds that the services have together to end; with the database away they would wait longer.
PATIENCE = 5.0


class Crew:
    """Runs services, each in a thread, and a heartbeat that speaks for them."""

    def __init__(self, app: Flask, worker_id: str, heartbeat: Heartbeat, services: Sequence[Service]) -> None:
        self._app = app
        self._id = worker_id
        self._heartbeat = heartbeat
        self._runners = [Runner(service, app) for service in (heartbeat, *services)]
        heartbeat.speak_for(self._runners)

    def start(self) -> None:
        """Make the process known, before anything can be claimed in its name; then start every service."""
        with self._app.app_context():
            insist(self._heartbeat.run, "the first heartbeat")
        for runner in self._runners:
            runner.start()

    def stop(self) -> None:
        """Stop every service and say goodbye."""
        for runner in self._runners:
            runner.stop()
        deadline = time.monotonic() + PATIENCE
        for runner in self._runners:
            runner.join(max(0.0, deadline - time.monotonic()))
        runtime: JobRuntime = self._app.extensions["jobs"]
        try:
            with runtime.engine.connect() as connection:
                workers.say_goodbye(connection, self._id)
        except SQLAlchemyError:
            pass  # its heartbeat will grow old instead
