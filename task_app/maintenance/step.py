"""Starts and stops maintenance with the worker (a Celery bootstep)."""

from typing import Any

from celery import bootsteps, signals
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from ..jobs import workers
from ..jobs.runtime import JobRuntime
from ..mirror import identity
from ..mirror.fork import gate
from .canceller import Canceller
from .dispatcher import Dispatcher
from .heartbeat import Heartbeat
from .joiner import Joiner
from .rescuer import Rescuer
from .runner import Runner


class MaintenanceStep(bootsteps.StartStopStep):
    """Runs the services in the worker's parent process, each in a thread.

    They start after the pool has forked. They stop when the worker has shut down, not when this step is told to: a
    worker that waits for its last jobs must go on beating, or they would be taken from it.
    """

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._app: Flask = worker.app.flask_app
        # Steps are made before any is started, so before the pool forks: children inherit the id.
        self._id = identity.draw_worker_id()
        gate.protect(self._app)
        self._runners: list[Runner] = []

    def start(self, worker: Any) -> None:
        """Start every service."""
        heartbeat = Heartbeat(self._app, self._id, worker)
        with self._app.app_context():
            heartbeat.run()  # before the first job can be claimed in its name
        canceller = Canceller(self._app, self._id, worker)
        services = (heartbeat, Dispatcher(self._app), Rescuer(self._app), canceller, Joiner())
        self._runners = [Runner(service, self._app) for service in services]
        for runner in self._runners:
            runner.start()
        signals.worker_shutdown.connect(self._goodbye, weak=False)

    def stop(self, worker: Any) -> None:
        """Do nothing yet: see the class."""

    def _goodbye(self, **kwargs: Any) -> None:
        for runner in self._runners:
            runner.stop()
        runtime: JobRuntime = self._app.extensions["jobs"]
        try:
            with runtime.engine.connect() as connection:
                workers.say_goodbye(connection, self._id)
        except SQLAlchemyError:
            pass  # its heartbeat will grow old instead
