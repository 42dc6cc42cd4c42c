"""Which services there are: those that any process may run, and those that belong to one worker."""

from typing import Any

from flask import Flask

from .canceller import Canceller
from .dispatcher import Dispatcher
from .expirer import Expirer
from .joiner import Joiner
from .pruner import Pruner
from .rescuer import Rescuer
from .roller import Roller
from .runner import Service
from .sweeper import Sweeper
from .watchdog import Watchdog


def common_services(app: Flask) -> list[Service]:
    """Return the services that may run anywhere, in any number."""
    return [Dispatcher(app), Rescuer(app), Expirer(), Joiner(), Pruner(app), Roller(app), Sweeper()]


def worker_services(app: Flask, worker_id: str, worker: Any) -> list[Service]:
    """Return the services that look after this worker only."""
    return [Canceller(app, worker_id, worker), Watchdog(app, worker)]
