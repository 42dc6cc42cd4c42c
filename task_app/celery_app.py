"""The Celery app of the Flask app."""

import sys
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from flask import Flask

from .jobs.runtime import JobRuntime
from .mirror.publisher import HIGHEST_PRIORITY, CeleryPublisher
from .mirror.send import send

#: Tasks in these packages are named by their function alone: `add`, not `task_app.tasks.examples.add`.
SHORT_NAMES = ("task_app.tasks",)


class TaskCelery(Celery):
    """Celery whose every send goes through the job table first."""

    flask_app: Flask
    task_cls = "task_app.mirror.task:JobTask"
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
    celery.config_from_object(settings(app))
    celery.set_default()
    app.extensions["celery"] = celery
    runtime: JobRuntime = app.extensions["jobs"]
    runtime.publisher = CeleryPublisher(celery, app)
    return celery


def settings(app: Flask) -> dict[str, Any]:
    """Return Celery's settings: what the service needs, under what the user chose, under what must not be chosen."""
    chosen: dict[str, Any] = dict(app.config["CELERY"])
    transport = {"priority_steps": list(range(HIGHEST_PRIORITY + 1)), "queue_order_strategy": "priority", "sep": ":"}
    defaults: dict[str, Any] = {
        "timezone": "UTC",
        "task_default_queue": app.config["JOB_DEFAULT_QUEUE"],
        # RabbitMQ needs it at the declaration of a queue.
        "task_queue_max_priority": HIGHEST_PRIORITY,
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {},
        # The table knows more than events; `celery worker -E` turns them on for monitors.
        "worker_send_task_events": False,
        "beat_schedule_filename": f"{app.instance_path}/celerybeat-schedule",
        # One backend per process instead of one per thread; ours keeps no state of its own.
        "result_backend_thread_safe": True,
    }
    if sys.platform == "win32":
        defaults["worker_pool"] = "solo"  # Celery's process pool needs fork
    fixed: dict[str, Any] = {
        # JSON is the only accepted content: nothing that arrives can run code.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "enable_utc": True,
        "task_protocol": 2,
        # The claim says STARTED, in one guarded UPDATE; Celery's own way would be a second write.
        "task_track_started": False,
        "task_store_errors_even_if_ignored": True,
        # The row, not the broker, knows what is unfinished: see docs/decisions/0001.
        "result_cache_max": -1,  # an ended job may be run again; a cached outcome would be a lie
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
    }
    merged = {**defaults, **chosen, **fixed}
    # Celery would let CELERY_BROKER_URL in the environment win over what create_app was given.
    for url in ("broker_read_url", "broker_write_url"):
        merged.setdefault(url, chosen["broker_url"])
    merged["broker_transport_options"] = {**transport, **merged["broker_transport_options"]}
    return merged
