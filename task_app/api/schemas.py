"""What clients send besides submissions, and what a problem looks like. The job itself is in `job`."""

from typing import Any

from flask import current_app
from marshmallow import INCLUDE, Schema, ValidationError, fields, pre_load

from ..web.submission import SubmissionSchema


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
