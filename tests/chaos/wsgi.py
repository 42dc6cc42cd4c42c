"""The entry point of the suite's web server: the real one, and the suite's tasks."""

from task_app.wsgi import app

from . import jobs

__all__ = ["app", "jobs"]
