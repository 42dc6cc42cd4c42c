"""The Celery app of the Flask app."""

from typing import Any

from celery import Celery
from celery.result import AsyncResult
from flask import Flask

from .celery_settings import celery_settings
from .jobs.runtime import JobRuntime
from .mirror.publisher import CeleryPublisher
from .mirror.send import send

#: Tasks in these packages are named by their function alone: `add`, not `task_app.tasks.examples.add`.
SHORT_NAMES = ("task_app.tasks",)


class TaskCelery(Celery):
    """Celery whose every send goes through the job table first."""

    flask_app: Flask
    task_cls = "task_app.mirror.task:JobTask"
    amqp_cls = "task_app.mirror.consumer:JobAMQP"
    control_cls = "task_app.mirror.control:JobControl"
    # As a class attribute it wins over CELERY_RESULT_BACKEND in the environment, which names where copies go.
    backend_cls = "task_app.mirror.backend:JobBackend"

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> AsyncResult:
        """Accept a job by the name of its task; everything that sends tasks ends here."""
        for never in ("producer", "publisher", "connection", "router", "task_type", "route_name"):
            options.pop(never, None)
        return send(self, name, args, kwargs, **options)

    def gen_task_name(self, name: str, module: str) -> str:
        """Name a task that was not given a name (Celery's documented hook)."""
        if module in SHORT_NAMES or module.startswith(tuple(f"{package}." for package in SHORT_NAMES)):
            return name
        full_name: str = super().gen_task_name(name, module)
        return full_name


def celery_init_app(app: Flask) -> Celery:
    """Build the Celery app from `app.config["CELERY"]`, attach it as `app.extensions["celery"]` and return it."""
    celery = TaskCelery(app.name, set_as_current=False)
    celery.flask_app = app
    celery.config_from_object(celery_settings(app))
    celery.set_default()
    app.extensions["celery"] = celery
    runtime: JobRuntime = app.extensions["jobs"]
    runtime.publisher = CeleryPublisher(celery, app)

    def pass_on(job_id: str) -> None:
        celery.backend.pass_on(job_id)  # the backend is made when it is first needed

    runtime.after_end = pass_on
    return celery
