"""The worker's entry point for acceptance tests: the real one, and tasks that misbehave."""

from make_celery import celery_app, flask_app

from . import probes

__all__ = ["celery_app", "flask_app", "probes"]
