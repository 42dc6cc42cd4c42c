"""Starts and stops maintenance with the worker (a Celery bootstep)."""

import logging
import os
import signal
import threading
from typing import Any

from celery import bootsteps, signals
from flask import Flask

from ..mirror import identity
from ..mirror.fork import gate
from ..mirror.patience import insist
from .crew import Crew
from .heartbeat import Heartbeat
from .pauser import Pauser
from .services import common_services, worker_services

logger = logging.getLogger(__name__)


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
        self._crew: Crew | None = None

    def start(self, worker: Any) -> None:
        """Start every service."""
        pauser = Pauser(worker)
        services = [*common_services(self._app), *worker_services(self._app, self._id, worker), pauser]
        self._crew = Crew(self._app, self._id, Heartbeat(self._app, self._id, worker), services)
        with self._app.app_context():
            insist(pauser.run, "the first look for paused queues")
        self._crew.start()
        signals.worker_shutting_down.connect(self._limit_the_wait, weak=False)
        signals.worker_shutdown.connect(self._goodbye, weak=False)

    def stop(self, worker: Any) -> None:
        """Do nothing yet: see the class."""

    def _limit_the_wait(self, how: str, **kwargs: Any) -> None:
        """A warm shutdown waits for running jobs without end; after `STOP_GRACE` it becomes a cold one."""
        if how != "Warm":
            return
        timer = threading.Timer(self._app.config["STOP_GRACE"], os.kill, (os.getpid(), signal.SIGQUIT))
        timer.daemon = True
        timer.start()

    def _goodbye(self, **kwargs: Any) -> None:
        if self._crew is not None:
            self._crew.stop()
