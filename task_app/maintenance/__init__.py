"""The services that move jobs without being asked. Every worker runs them; any number may run at once.

| file | concern |
|---|---|
| `dispatcher` | puts due, unpublished jobs on the broker |
| `heartbeat` | says that this worker lives and what it holds |
| `rescuer` | finds jobs whose worker or whose message is gone |
| `joiner` | sends the bodies of complete chords that nobody has sent |
| `canceller` | ends running jobs that somebody asked to cancel |
| `runner` | runs a service again and again, whatever happens |
| `step` | starts and stops them with the worker |
"""

from celery import Celery
from flask import Flask

from .step import MaintenanceStep


def init_app(app: Flask) -> None:
    """Let every worker of this app run the services."""
    celery: Celery = app.extensions["celery"]
    celery.steps["worker"].add(MaintenanceStep)
