"""The web server's entry point for tests: the real one, and tasks that misbehave."""

from task_app.wsgi import app

from . import probes

__all__ = ["app", "probes"]
