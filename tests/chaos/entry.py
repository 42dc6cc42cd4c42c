"""The entry point of the suite's workers and beat: the real one, and the suite's tasks."""

from make_celery import celery_app, flask_app

from . import jobs

__all__ = ["celery_app", "flask_app", "jobs"]
