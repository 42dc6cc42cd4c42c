"""What a submission must be, at every door over HTTP: the schema of `POST /tasks`, and of edited arguments."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import current_app
from marshmallow import Schema, ValidationError, fields, post_load, validate

from ..jobs.packing import load
from ..jobs.runtime import runtime, utcnow
from ..jobs.submission import Submission
from ..jobs.view import JobView
from ..mirror import arguments
from ..mirror.fields import Integer, Number
from ..mirror.public import UnknownTask, as_json, find_task

YEAR = 366 * 24 * 3600
LONGEST_DELAY = 10 * YEAR
FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC)
#: Options that travel in the message, under the same names.
LIMITS = ("max_retries", "soft_time_limit", "time_limit")
# Readable by JavaScript as well: it stands in the OpenAPI document. Python's "$" alone would let a newline pass.
QUEUE_NAME = r"^[A-Za-z0-9._-]{1,100}$(?!\n)"

NO_MOMENT = "Not an ISO 8601 time with a zone, such as 2030-01-31T12:00:00Z."
NO_UUID = "Not a valid UUID."

_UUID = re.compile(r"(urn:uuid:)?\{?[0-9a-f-]{32,36}\}?", re.IGNORECASE)
# An unquoted "+" of a query string arrives as a space.
_LOST_PLUS = re.compile(r" (?=\d\d:?\d\d\Z)")


class Moment(fields.Field[datetime]):
    """An ISO 8601 time with its zone; loaded as UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            moment = datetime.fromisoformat(_LOST_PLUS.sub("+", value) if "T" in value else value)
        except (TypeError, ValueError):
            raise ValidationError(NO_MOMENT) from None
        if moment.tzinfo is None:
            raise ValidationError(NO_MOMENT)
        if not FIRST_MOMENT <= moment < LAST_MOMENT:
            raise ValidationError("Must be a time from 1970 to 9998.")
        return moment.astimezone(UTC)


class Expiry(fields.Field[datetime | timedelta]):
    """A moment, or a number of seconds from now."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any
    ) -> datetime | timedelta:
        if isinstance(value, str):
            return Moment().deserialize(value, attr, data)
        seconds = Number(validate=_positive(LONGEST_DELAY)).deserialize(value, attr, data)
        return timedelta(seconds=seconds)


class TaskId(fields.Field[str]):
    """A UUID in any of its usual forms; loaded in lower case with hyphens."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str) or not _UUID.fullmatch(value):
            raise ValidationError(NO_UUID)
        try:
            return str(UUID(value.lower()))
        except ValueError:
            raise ValidationError(NO_UUID) from None


def _positive(most: float) -> validate.Range:
    return validate.Range(min=0, min_inclusive=False, max=most)


def _trimmed(text: str) -> None:
    """To MariaDB "a" and "a " are the same."""
    if text != text.strip():
        raise ValidationError("Must not begin or end with white space.")


def _known_queue(queue: str) -> None:
    """A queue that nobody declared is made on first use, unless Celery is told not to."""
    celery = current_app.extensions["celery"]
    if not celery.conf.task_create_missing_queues and queue not in celery.amqp.queues:
        raise ValidationError("There is no queue of this name.")


class ArgumentsSchema(Schema):
    """Arguments of a task; what they must be is up to the task."""

    args = fields.List(fields.Raw(allow_none=True), metadata={"description": "Positional arguments."})
    kwargs = fields.Dict(
        keys=fields.String(), values=fields.Raw(allow_none=True), metadata={"description": "Keyword arguments."}
    )


class SubmissionSchema(ArgumentsSchema):
    """A request to run a task; loaded as a Submission."""

    task = fields.String(required=True, metadata={"description": "Name of a task, see /task-types."})
    queue = fields.String(validate=[validate.Regexp(QUEUE_NAME), _known_queue])
    priority = Integer(validate=validate.Range(0, 9), metadata={"description": "Higher goes first."})
    countdown = Number(
        validate=validate.Range(0, LONGEST_DELAY), metadata={"description": "Seconds until the job may run."}
    )
    eta = Moment(metadata={"description": "When the job may run. Not together with countdown."})
    expires = Expiry(metadata={"description": "Time, or seconds from now, after which it is not started."})
    task_id = TaskId(metadata={"description": "The id of the job; a new one if not given."})
    tags = fields.List(fields.String(validate=[validate.Length(1, 100), _trimmed]), validate=validate.Length(max=20))
    max_retries = Integer(validate=validate.Range(0, 1000))
    soft_time_limit = Number(validate=_positive(YEAR), metadata={"description": "Seconds."})
    time_limit = Number(validate=_positive(YEAR), metadata={"description": "Seconds."})

    def load(self, data: Any, **options: Any) -> Any:
        """Load a submission. Plain ones, as most are, are not led through every field."""
        return _plain_submission(data) or super().load(data, **options)

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Submission:
        """Check what takes more than one field, and the arguments against the task."""
        errors: dict[str, Any] = {}
        due_at, expires_at = _times(data, errors)
        if data.get("soft_time_limit", 0) > data.get("time_limit", YEAR):
            errors["soft_time_limit"] = ["Must not be greater than time_limit."]
        texts = _arguments(data, errors)
        if errors:
            raise ValidationError(errors)
        return Submission(
            task=data["task"],
            args=texts[0],
            kwargs=texts[1],
            id=data.get("task_id"),
            queue=data.get("queue"),
            priority=data.get("priority"),
            due_at=due_at,
            expires_at=expires_at,
            tags=tuple(data.get("tags", ())),
            message={name: data[name] for name in LIMITS if name in data},
        )


def _times(data: Mapping[str, Any], errors: dict[str, Any]) -> tuple[datetime | None, datetime | None]:
    now = utcnow()
    due_at, expires = data.get("eta"), data.get("expires")
    if "countdown" in data:
        if "eta" in data:
            errors["eta"] = ["Not together with countdown."]
        due_at = now + timedelta(seconds=data["countdown"])
    expires_at = now + expires if isinstance(expires, timedelta) else expires
    if expires_at is not None and expires_at <= (due_at or now):
        errors["expires"] = ["The job would expire before it may run."]
    return due_at, expires_at


def _arguments(data: Mapping[str, Any], errors: dict[str, Any]) -> tuple[str, str]:
    try:
        return argument_texts(find_task(data["task"]), data.get("args", []), data.get("kwargs", {}))
    except UnknownTask as error:
        errors["task"] = [str(error)]
    except ValidationError as error:
        errors.update(error.messages_dict)
    return "", ""


def argument_texts(task: Any, args: list[Any], kwargs: dict[str, Any]) -> tuple[str, str]:
    """Return the arguments as the job table keeps them, if they fit the task. Raises ValidationError."""
    try:
        args, kwargs = arguments.bind(task, args, kwargs, storable=True)  # the doors have looked
    except arguments.ArgumentErrors as error:
        raise ValidationError(_argument_errors(error)) from None
    texts, limit = (as_json(args), as_json(kwargs)), runtime().arguments_limit
    if sum(map(len, texts)) > limit:
        raise ValidationError({"kwargs" if kwargs else "args": [f"Take more than {limit} bytes as JSON."]})
    return texts


def _argument_errors(error: arguments.ArgumentErrors) -> dict[str, Any]:
    """Put the messages where the client gave the arguments: under `args` by position, under `kwargs` by name."""
    placed: dict[str, Any] = {}
    for name, messages in error.errors.items():
        if name in error.positions:
            placed.setdefault("args", {})[str(error.positions[name])] = messages
        else:
            placed.setdefault("kwargs", {})[name] = messages
    return placed


#: What a plain submission has and no more.
_PLAIN = frozenset({"task", "args", "kwargs", "task_id"})
_USUAL_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _plain_submission(value: Any) -> Submission | None:
    """Return the submission if it is plain and right; the schema finds the words for what is wrong."""
    if not isinstance(value, dict) or not value.keys() <= _PLAIN:
        return None
    name, args, kwargs = value.get("task"), value.get("args", []), value.get("kwargs", {})
    if not isinstance(name, str) or not isinstance(args, list) or not isinstance(kwargs, dict):
        return None
    job_id = value.get("task_id")
    if "task_id" in value and not (isinstance(job_id, str) and _USUAL_UUID.fullmatch(job_id)):
        return None
    try:
        texts = argument_texts(find_task(name), args, kwargs)
    except (UnknownTask, ValidationError):
        return None
    return Submission(task=name, args=texts[0], kwargs=texts[1], id=job_id)


def edited_arguments(job: JobView, edited: Mapping[str, Any]) -> dict[str, str]:
    """Return new arguments of a job as the job table keeps them, validated together with those that stay.

    Raises UnknownTask when there is no such task any more that could check them, and ValidationError.
    """
    args = edited["args"] if "args" in edited else load(job.args_json)
    kwargs = edited["kwargs"] if "kwargs" in edited else load(job.kwargs_json)
    texts = argument_texts(find_task(job.task), args, kwargs)
    return {"args": texts[0], "kwargs": texts[1]}
