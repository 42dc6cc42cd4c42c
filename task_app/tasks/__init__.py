"""The tasks. To add one: write a typed function with `@shared_task` in a module here and import it below.

Its name, summary and arguments appear in the API by themselves. Tasks run inside the Flask app, so `current_app` and
`db.session` work; `report_progress` says how far they are, and `raise_if_cancelled` asks whether to go on. A task may
run more than once: see docs/howto/add-a-task.md.
"""

from celery import Celery
from flask import Flask

from ..mirror import arguments
from ..mirror.progress import raise_if_cancelled, report_progress
from .examples import add
from .mail import send_email, send_welcome_email
from .reporting import long_task, process
from .retrying import flaky
from .sleeping import block, sleep_task

__all__ = [
    "add",
    "block",
    "flaky",
    "init_app",
    "long_task",
    "process",
    "raise_if_cancelled",
    "report_progress",
    "send_email",
    "send_welcome_email",
    "sleep_task",
]


def init_app(app: Flask) -> None:
    """Make sure that the arguments of public tasks can be validated. Raises WrongTask, which names the parameter."""
    celery: Celery = app.extensions["celery"]
    for name, task in celery.tasks.items():
        if not name.startswith("celery.") and task.public:
            arguments.check(task)
