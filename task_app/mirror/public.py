"""Tasks that clients may ask for, and asking for one of them by name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import celery
from flask import current_app

from ..errors import TaskAppError
from ..jobs import service
from ..jobs.submission import Submission
from ..jobs.view import JobView
from . import arguments


class UnknownTask(TaskAppError):
    """There is no public task of this name."""

    def __init__(self, name: str) -> None:
        super().__init__("There is no task of this name.")
        self.name = name


def find_task(name: str) -> celery.Task:
    """Return a public task. Raises UnknownTask."""
    task = current_app.extensions["celery"].tasks.get(name)
    if task is None or not is_public(task):
        raise UnknownTask(name)
    return task


def public_tasks() -> list[celery.Task]:
    """Return all public tasks by name."""
    tasks = current_app.extensions["celery"].tasks
    return [tasks[name] for name in sorted(tasks) if is_public(tasks[name])]


def is_public(task: celery.Task) -> bool:
    """Say whether clients may ask for this task: all but Celery's own and those that set `public = False`."""
    return not task.name.startswith("celery.") and getattr(task, "public", True)


def summary_of(task: celery.Task) -> str:
    """Return the first line of the task's docstring."""
    return ((task.__doc__ or "").strip().splitlines() or [""])[0]


def queue_of(task: celery.Task) -> str:
    """Return the queue of its jobs, if they name none."""
    app = current_app.extensions["celery"]
    options = {key: value for key, value in task._get_exec_options().items() if value is not None}
    queue = app.amqp.router.route(options, task.name, (), {}, task).get("queue")
    name: str = getattr(queue, "name", queue) or app.conf.task_default_queue
    return name


def rate_limit_of(name: str) -> str | None:
    """Return how often workers may start this task, in Celery's words ("10/m"); None: as often as they can."""
    limit = getattr(current_app.extensions["celery"].tasks.get(name), "rate_limit", None)
    return None if limit is None else str(limit)


def submit_task(
    name: str, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None, *, coerce: bool = False
) -> JobView:
    """Validate the arguments of a public task, accept the job and publish it.

    With `coerce` the keyword arguments are the text of a form. Raises UnknownTask, ArgumentErrors, ValueNotStorable.
    """
    task = find_task(name)
    bound_args, bound_kwargs = arguments.bind(task, args, kwargs or {}, coerce=coerce)
    return service.submit(Submission(task=task.name, args=as_json(bound_args), kwargs=as_json(bound_kwargs)))


def as_json(value: Any) -> str:
    """Write arguments the way the job table keeps them."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
