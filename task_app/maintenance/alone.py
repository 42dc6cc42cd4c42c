"""Maintenance without a worker: `flask maintenance run`."""

import signal
import threading
from types import FrameType

from flask import Flask

from ..jobs.ids import new_id
from .crew import Crew
from .heartbeat import Heartbeat
from .services import common_services


def run_alone(app: Flask) -> None:
    """Run the services that may run anywhere, until SIGTERM or SIGINT."""
    told_to_stop = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        told_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    process_id = new_id()
    crew = Crew(app, process_id, Heartbeat(app, process_id), common_services(app))
    crew.start()
    told_to_stop.wait()
    crew.stop()
