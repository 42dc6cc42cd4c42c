"""Runs a service again and again, in a thread of its own, whatever happens."""

import logging
import threading
import time
from typing import Any, Protocol

from flask import Flask

from ..jobs.runtime import utcnow
from ..jobs.view import timestamp
from ..mirror.fork import gate
from ..mirror.patience import is_outage

logger = logging.getLogger(__name__)


class Service(Protocol):
    """One concern of maintenance."""

    name: str

    @property
    def pause(self) -> float:
        """Seconds until the next run; may change with every run."""

    def run(self) -> int:
        """Do what there is to do now, inside the app context; safe to run anywhere and at the same time.

        Returns how much was done, in whatever the service counts.
        """


class Runner:
    """A thread that runs one service until it is told to stop, and remembers what it did."""

    def __init__(self, service: Service, app: Flask) -> None:
        self.name = service.name
        self._service = service
        self._app = app
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"maintenance-{service.name}", daemon=True)
        self._diary: dict[str, Any] = {"ran_at": None, "took": None, "total": 0}

    def start(self) -> None:
        """Start running the service, first at once."""
        self._thread.start()

    def stop(self) -> None:
        """Let the current run be the last one."""
        self._stop.set()

    def join(self, timeout: float) -> None:
        """Wait for the end of the current run, for so many seconds at most."""
        self._thread.join(timeout)

    def diary(self) -> dict[str, Any]:
        """Return when the service ran last, for how long (seconds), what it did last and in all, and its last error."""
        return dict(self._diary)

    def _loop(self) -> None:
        while True:
            try:
                with gate, self._app.app_context():
                    self._run()
            except Exception as error:
                self._diary |= {"error": str(error).splitlines()[:1], "error_at": timestamp(utcnow())}
                if is_outage(error):
                    logger.warning("%s waits for the database: %s", self.name, str(error).splitlines()[0])
                else:
                    logger.exception("%s failed; it goes on", self.name)
            if self._stop.wait(self._service.pause):
                return

    def _run(self) -> None:
        begin = time.monotonic()
        did = self._service.run()
        now = timestamp(utcnow())
        diary = self._diary | {"ran_at": now, "took": round(time.monotonic() - begin, 4)}
        if did:
            diary |= {"did": did, "did_at": now, "total": diary["total"] + did}
        self._diary = diary
