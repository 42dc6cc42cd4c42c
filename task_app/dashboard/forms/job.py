"""The form of a new job: arguments, options, and the body of `POST /tasks` that both make."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import celery
from flask import current_app
from marshmallow import ValidationError, missing
from werkzeug.datastructures import MultiDict

from ...jobs.ids import new_id
from ...jobs.submission import Submission
from ...jobs.view import JobView
from ...mirror.arguments import json_schema
from ...mirror.public import UnknownTask, find_task, queue_of
from ...web.submission import LIMITS, SubmissionSchema, TaskId
from . import controls
from .arguments import ArgumentsForm
from .field import FormField

#: Options in the order of the form; `expires` is two fields, because it is a moment or a time span.
OPTION_GROUPS = (
    ("Where", ("queue", "priority", "tags")),
    ("When", ("countdown", "eta", "expires_in", "expires_at")),
    ("Limits", ("max_retries", "soft_time_limit", "time_limit")),
    ("Identity", ("task_id",)),
)
_OF_EXPIRES = ("expires_in", "expires_at")
_CONTROLS: Mapping[str, controls.Control] = {
    "queue": controls.Line(attributes={"type": "text", "list": "queues"}),
    "eta": controls.Moment(attributes={"type": "datetime-local"}),
    "expires_in": controls.Number(attributes={"type": "number", "min": 0, "step": "any"}),
    "expires_at": controls.Moment(attributes={"type": "datetime-local"}),
    "task_id": controls.Line(attributes={"type": "text", "class": "mono"}),
}
_KINDS = {
    "eta": "date and time",
    "expires_at": "date and time",
    "expires_in": "seconds",
    "task_id": "UUID",
    "countdown": "seconds",
    "soft_time_limit": "seconds",
    "time_limit": "seconds",
}
_ABOUT = {
    "queue": "The task's own, if empty.",
    "tags": "Words to find the job by.",
    "expires_in": "Time after which it is not started any more.",
    "expires_at": "The same as a moment.",
    "countdown": "Time until the job may run.",
    "task_id": "A new one, if empty.",
    "soft_time_limit": "The task is told to end after this time …",
    "time_limit": "… and terminated after this one.",
    "max_retries": "The task's own limit, if empty.",
}


class JobForm:
    """Everything one can say of a new job. It bears the id that the job will have, so that it makes one job only."""

    def __init__(self, task: celery.Task, like: JobView | None = None, *, may_keep: bool = False) -> None:
        self.task = task
        self.id = new_id()
        self.arguments = ArgumentsForm(task, like, may_keep=may_keep)
        self.options = _options()
        self.general: list[str] = []  # what is wrong and belongs to no field
        if like:
            for name, value in _options_of(like, task).items():
                self.options[name].fill(value)

    def take(self, form: MultiDict[str, str]) -> None:
        """Take over what was typed."""
        self.arguments.take(form)
        for field in self.options.values():
            field.take(form)
        with suppress(ValidationError):  # not from our page; then the form keeps the id it was made with
            self.id = TaskId().deserialize(form.get("form_id"))

    def body(self) -> dict[str, Any]:
        """Return what `POST /tasks` would get, as far as it can be read; what can't is said in the fields."""
        args, kwargs = self.arguments.call()
        body: dict[str, Any] = {"task": self.task.name}
        if args:
            body["args"] = args
        if kwargs or not args:
            body["kwargs"] = kwargs
        for name, field in self.options.items():
            value = field.value()
            if value is missing or value == []:
                continue
            if name in _OF_EXPIRES and "expires" in body:
                field.refuse(["Not together with expires in."])
            body["expires" if name in _OF_EXPIRES else name] = value
        return body

    def submission(self) -> Submission | None:
        """Return what to submit, or None; then the fields say what is wrong."""
        body = self.body()
        is_readable = not self.wrong_fields
        try:
            submission: Submission = SubmissionSchema().load({"task_id": self.id, **body})
        except ValidationError as error:
            self._refuse(error.messages_dict)
            return None
        return submission if is_readable else None

    @property
    def all_fields(self) -> list[FormField]:
        """Every field that is shown."""
        return [*self.arguments.all_fields, *self.options.values()]

    @property
    def wrong_fields(self) -> list[FormField]:
        """The fields that something is wrong with."""
        return [field for field in self.all_fields if field.errors]

    @property
    def are_options_used(self) -> bool:
        """Say whether an option is given or wrong."""
        return any(field.errors or field.typed.get("") for field in self.options.values())

    def _refuse(self, errors: Mapping[str, Any]) -> None:
        self.general += self.arguments.refuse(errors)
        for name, messages in errors.items():
            if name == "expires":
                is_moment = self.options["expires_at"].typed.get("")
                self.options["expires_at" if is_moment else "expires_in"].refuse(messages)
            elif name in self.options:
                self.options[name].refuse(list(_flat(messages)))
            elif name not in ("args", "kwargs"):
                self.general += messages


def body_of(job: JobView) -> dict[str, Any]:
    """Return the body of `POST /tasks` that asks for the same again: the call, where it goes and its limits."""
    body: dict[str, Any] = {"task": job.task}
    if job.args:
        body["args"] = job.args
    if job.kwargs or not job.args:
        body["kwargs"] = job.kwargs
    try:
        task = find_task(job.task)
    except UnknownTask:
        task = None
    return body | _options_of(job, task)


def _options() -> dict[str, FormField]:
    schema = SubmissionSchema()
    described = json_schema(schema)["properties"]
    made = {}
    for name in (name for _, names in OPTION_GROUPS for name in names):
        source = "expires" if name in _OF_EXPIRES else name
        field = FormField.of(name, schema.fields[source], described[source], prefix="option")
        field.control = _CONTROLS.get(name, field.control)
        field.about, field.kind = _ABOUT.get(name, field.about), _KINDS.get(name, field.kind)
        field.limits = "" if name == "queue" else field.limits
        if name == "tags":
            field.default, field.kind = [], "words"
        field.leave_out()
        made[name] = field
    return made


def _options_of(job: JobView, task: celery.Task | None) -> dict[str, Any]:
    """Return the options with which a job was submitted, as far as they aren't what it would get anyway."""
    options: dict[str, Any] = {}
    if task is None or job.queue != queue_of(task):
        options["queue"] = job.queue
    if job.priority != current_app.config["JOB_DEFAULT_PRIORITY"]:
        options["priority"] = job.priority
    if job.tags:
        options["tags"] = job.tags
    return options | {name: job.options[name] for name in LIMITS if job.options[name] is not None}


def _flat(messages: Any) -> list[str]:
    if isinstance(messages, Mapping):  # of the items of a list, by index
        return [f"{index}: {text}" for index, found in messages.items() for text in found]
    return list(messages)
