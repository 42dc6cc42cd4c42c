"""The services that move jobs without being asked. Every worker runs them; any number may run at once.

| file | concern |
|---|---|
| `dispatcher` | puts due, unpublished jobs on the broker |
| `heartbeat` | says that this process lives, what it holds and what it did |
| `memory` | how much memory a worker takes |
| `rescuer` | finds jobs whose worker or whose message is gone |
| `expirer` | revokes waiting jobs that have expired |
| `joiner` | goes on with chains and chords that nobody went on with |
| `pruner` | deletes what has been kept long enough |
| `sweeper` | removes files that nobody needs |
| `roller` | counts what has ended, for charts |
| `canceller` | ends running jobs of its worker that somebody asked to cancel |
| `pauser` | lets its worker leave paused queues |
| `watchdog` | lets its worker connect anew when it hears nothing |
| `services` | which of them run where |
| `runner` | runs a service again and again, whatever happens |
| `crew` | starts and stops the services of a process together |
| `step` | starts and stops them with the worker |
| `alone` | runs them without a worker |
"""

from celery import Celery
from flask import Flask

from .step import MaintenanceStep


def init_app(app: Flask) -> None:
    """Let every worker of this app run the services."""
    celery: Celery = app.extensions["celery"]
    celery.steps["worker"].add(MaintenanceStep)
