"""Runs a service again and again, in a thread of its own, whatever happens."""

import logging
import threading
from typing import Protocol

from flask import Flask

from ..mirror.fork import gate
from ..mirror.patience import is_outage

logger = logging.getLogger(__name__)


class Service(Protocol):
    """One concern of maintenance."""

    name: str
    interval: float  # seconds between two runs

    def run(self) -> None:
        """Do what there is to do now, inside the app context; safe to run anywhere and at the same time."""


class Runner:
    """A thread that runs one service until it is told to stop."""

    def __init__(self, service: Service, app: Flask) -> None:
        self._service = service
        self._app = app
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"maintenance-{service.name}", daemon=True)

    def start(self) -> None:
        """Start running the service, first at once."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Let the current run end, and end the thread."""
        self._stop.set()
        self._thread.join(timeout)

    def _loop(self) -> None:
        while True:
            try:
                with gate, self._app.app_context():
                    self._service.run()
            except Exception as error:
                if is_outage(error):
                    logger.warning("%s waits for the database: %s", self._service.name, str(error).splitlines()[0])
                else:
                    logger.exception("%s failed; it goes on", self._service.name)
            if self._stop.wait(self._service.interval):
                return
