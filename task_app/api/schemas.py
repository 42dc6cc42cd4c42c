"""What clients send, and what a problem looks like. The job itself is in `job`."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from flask import current_app
from marshmallow import INCLUDE, Schema, ValidationError, fields, post_load, pre_load, validate

from ..jobs.lists import Filter, Place
from ..jobs.runtime import runtime, utcnow
from ..jobs.submission import Submission
from ..mirror import arguments
from ..mirror.fields import Integer, Number
from ..mirror.public import UnknownTask, as_json, find_task
from ..mirror.storable import BAD_TEXT, is_storable
from .cursor import decode

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
        args, kwargs = arguments.bind(task, args, kwargs, storable=True)  # `json_body` has looked
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
_PLAIN = frozenset({"task", "args", "kwargs"})


def _plain_submission(value: Any) -> Submission | None:
    """Return the submission if it is plain and right; the schema finds the words for what is wrong."""
    if not isinstance(value, dict) or not value.keys() <= _PLAIN:
        return None
    name, args, kwargs = value.get("task"), value.get("args", []), value.get("kwargs", {})
    if not isinstance(name, str) or not isinstance(args, list) or not isinstance(kwargs, dict):
        return None
    try:
        texts = argument_texts(find_task(name), args, kwargs)
    except (UnknownTask, ValidationError):
        return None
    return Submission(task=name, args=texts[0], kwargs=texts[1])


class BatchSchema(Schema):
    """Many submissions; loaded from `{"jobs": [...]}` or the bare list."""

    jobs = fields.List(fields.Nested(SubmissionSchema), required=True)

    @pre_load
    def measure(self, data: Any, **kwargs: Any) -> Any:
        """Take the bare list as well, and refuse a batch that is too long before its jobs are looked at."""
        if isinstance(data, list):
            data = {"jobs": data}
        jobs = data.get("jobs") if isinstance(data, dict) else None
        limit = current_app.config["BATCH_LIMIT"]
        if isinstance(jobs, list) and not 1 <= len(jobs) <= limit:
            raise ValidationError({"jobs": [f"Must be 1 to {limit} jobs."]})
        return data

    def handle_error(self, error: ValidationError, data: Any, **kwargs: Any) -> None:
        """Put the errors of the jobs under their index alone."""
        jobs = error.messages_dict.get("jobs")
        if isinstance(jobs, dict):
            error.messages = jobs


class BatchAnswerSchema(Schema):
    """The ids of an accepted batch."""

    task_ids = fields.List(fields.String(), required=True, metadata={"description": "In the order of the jobs sent."})
    count = fields.Integer(required=True)


class _QueryText(fields.String):
    """A name to look for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=[validate.Length(1, 255), _storable], **options)


def _storable(text: str) -> None:
    if not is_storable(text):
        raise ValidationError(BAD_TEXT)


class Cursor(fields.Field[Place]):
    """Where the page before ended."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Place:
        try:
            return decode(value)
        except ValueError:
            raise ValidationError("Not a cursor of this list.") from None


class ListQuerySchema(Schema):
    """Which jobs to list."""

    status = _QueryText(metadata={"description": "One of Celery's states or a task's own."})
    task = _QueryText()
    queue = _QueryText()
    tag = _QueryText()
    worker = _QueryText()
    created_after = Moment()
    created_before = Moment()
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
    cursor = Cursor(metadata={"description": "`next_cursor` of the page before."})

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> tuple[Filter, int, Place | None]:
        """Return the filter, the length of the page and where it starts."""
        limit, after = data.pop("limit"), data.pop("cursor", None)
        return Filter(**data), limit, after


def _wait_within(seconds: float) -> None:
    limit = current_app.config["WAIT_LIMIT"]
    if not 0 <= seconds <= limit:
        raise ValidationError(f"Must be 0 to {limit:g} seconds.")


class WaitQuerySchema(Schema):
    """How long to wait for a job to end."""

    wait = fields.Float(
        load_default=0,
        validate=_wait_within,
        metadata={"description": "Seconds; the answer comes as soon as the job ends.", "minimum": 0, "maximum": 60},
    )


class ProblemSchema(Schema):
    """A problem document (RFC 9457). It may have more members."""

    class Meta:
        """RFC 9457 calls them extension members."""

        unknown = INCLUDE

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String()
    instance = fields.String()
    errors = fields.Dict(metadata={"description": "Messages by field, nested like the body."})
