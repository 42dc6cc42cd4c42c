"""Celery's settings for this app: what the service needs, under what the user chose, under what must not be chosen."""

import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from celery.app.defaults import SETTING_KEYS
from celery.schedules import crontab
from flask import Flask
from kombu import Queue

from .errors import ConfigurationError
from .jobs.submission import HIGHEST_PRIORITY
from .mirror.request import is_limit

#: What the promises of the service rest on; see docs/decisions/0001-foundation.md.
FIXED: dict[str, Any] = {
    # JSON is the only accepted content: nothing that arrives can run code.
    "accept_content": ["json"],
    "task_serializer": "json",
    "result_serializer": "json",
    "enable_utc": True,
    "task_protocol": 2,
    # The claim says STARTED, in one guarded UPDATE; Celery's own way would be a second write.
    "task_track_started": False,
    "task_store_errors_even_if_ignored": True,
    # The row, not the broker, knows what is unfinished.
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    # An ended job may be run again; a cached outcome would be a lie.
    "result_cache_max": -1,
}


def celery_settings(app: Flask) -> dict[str, Any]:
    """Return the settings. Raises ConfigurationError, naming the setting, for one that can't be right."""
    chosen: dict[str, Any] = dict(app.config["CELERY"])
    _check(chosen)
    defaults: dict[str, Any] = {
        "timezone": "UTC",
        "task_default_queue": app.config["JOB_DEFAULT_QUEUE"],
        # RabbitMQ needs it at the declaration of a queue.
        "task_queue_max_priority": HIGHEST_PRIORITY,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives any outage
        "broker_heartbeat": 10,  # seconds; a RabbitMQ connection that is dead without a word is noticed
        # An exclusive queue stays locked by the dead connection, and the worker that connects anew would end for it.
        "control_queue_exclusive": False,
        "control_queue_durable": True,
        # After a lost connection Celery would set it from a pool's thread, which then reads the loop's replies. A few
        # messages too many cost nothing: whoever claims first runs the job.
        "worker_enable_prefetch_count_reduction": False,
        "worker_consumer": "task_app.mirror.consumer:JobConsumer",
        "broker_transport_options": {},
        # The table knows more than events; `celery worker -E` turns them on for monitors.
        "worker_send_task_events": False,
        "beat_schedule_filename": f"{app.instance_path}/celerybeat-schedule",
        # One backend per process instead of one per thread; ours keeps no state of its own.
        "result_backend_thread_safe": True,
    }
    if sys.platform == "win32":
        defaults["worker_pool"] = "solo"  # Celery's process pool needs fork
    merged = {**defaults, **chosen, **FIXED}
    # Celery would let CELERY_BROKER_URL in the environment win over what create_app was given.
    for url in ("broker_read_url", "broker_write_url"):
        merged.setdefault(url, chosen["broker_url"])
    transport = {
        "priority_steps": list(range(HIGHEST_PRIORITY + 1)),
        "queue_order_strategy": "priority",
        "sep": ":",
        # A Redis that accepts connections and never answers must not hold a worker for ever.
        "socket_connect_timeout": 5,
        "socket_timeout": 5,
        "socket_keepalive": True,
    }
    merged["broker_transport_options"] = {**transport, **merged["broker_transport_options"]}
    merged["beat_schedule"] = {**_nightly(app), **chosen.get("beat_schedule", {})}
    if "task_queues" in chosen:
        merged["task_queues"] = _queues(chosen["task_queues"])
    return merged


def _nightly(app: Flask) -> dict[str, Any]:
    """Return what settings ask beat for. An entry of the same name in CELERY['beat_schedule'] takes its place."""
    to, days = app.config["NIGHTLY_REPORT_TO"], app.config["NIGHTLY_PRUNE_DAYS"]
    plan: dict[str, Any] = {}
    if to is not None:
        plan["nightly_report"] = {
            "task": "nightly_report",
            "schedule": crontab(hour="3", minute="0"),
            "kwargs": {"to": to},
        }
    if days:
        plan["nightly_prune"] = {
            "task": "prune",
            "schedule": crontab(hour="2", minute="30"),
            "kwargs": {"older_than_days": days},
        }
    return plan


def _check(chosen: Mapping[str, Any]) -> None:
    """Refuse what Celery would take in silence, or stumble over when the first job comes."""
    for name, value in chosen.items():
        if name not in SETTING_KEYS:
            raise _wrong(name, "Celery has no such setting")
        if name in FIXED and value != FIXED[name]:
            raise _wrong(name, f"the service needs it to be {FIXED[name]!r}")
    for name in ("task_time_limit", "task_soft_time_limit"):
        if chosen.get(name) is not None and not is_limit(chosen[name]):
            raise _wrong(name, "must be a number of seconds")
    for name in ("broker_transport_options", "beat_schedule"):
        if not isinstance(chosen.get(name, {}), Mapping):
            raise _wrong(name, "must be a mapping")
    if not isinstance(chosen.get("task_routes") or {}, Mapping | list | tuple | str) and not callable(
        chosen["task_routes"]
    ):
        raise _wrong("task_routes", "must be a mapping of tasks to routes")
    for entry, plan in chosen.get("beat_schedule", {}).items():
        _check_plan(entry, plan)


def _check_plan(entry: str, plan: Any) -> None:
    name = "beat_schedule"
    if not isinstance(plan, Mapping) or not isinstance(plan.get("task"), str):
        raise _wrong(name, f"{entry!r} must be a mapping with 'task' and 'schedule'")
    schedule = plan.get("schedule")
    if not isinstance(schedule, int | float | timedelta) and not hasattr(schedule, "is_due"):
        raise _wrong(name, f"the schedule of {entry!r} must be seconds, a timedelta or a schedule such as crontab(…)")


def _queues(queues: Any) -> Any:
    """Accept names besides kombu's queues: the environment can only give names."""
    if isinstance(queues, Mapping):
        return queues
    if isinstance(queues, str) or not isinstance(queues, Iterable):
        raise _wrong("task_queues", "must be a list of queues or of their names")
    listed = [Queue(queue) if isinstance(queue, str) else queue for queue in queues]
    if not all(isinstance(queue, Queue) for queue in listed):
        raise _wrong("task_queues", "must be a list of queues or of their names")
    return listed


def _wrong(name: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"CELERY[{name!r}]", problem)
