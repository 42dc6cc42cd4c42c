"""The route that groups failures by what went wrong."""

from typing import Any

from flask import Response
from marshmallow import RAISE, Schema, fields, validate

from ..jobs import service, triage
from ..jobs.runtime import utcnow
from ..jobs.view import timestamp
from .blueprint import blueprint
from .job import json_response


class FailuresQuerySchema(Schema):
    """Which failures to group."""

    window = fields.String(load_default="day", validate=validate.OneOf(sorted(triage.WINDOWS)))
    resolved = fields.Boolean(load_default=False)


class FailureGroupSchema(Schema):
    """Failures of one task with one type of error."""

    error = fields.String(required=True, allow_none=True)
    task = fields.String(required=True)
    count = fields.Integer(required=True)
    within = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    first_at = fields.DateTime(required=True)
    last_at = fields.DateTime(required=True)
    newest_task_id = fields.String(required=True, metadata={"description": "The one submitted last."})
    message = fields.String(required=True, metadata={"description": "The first line of its error."})


class FailuresSchema(Schema):
    """Failures by type of error and task, the largest groups first."""

    groups = fields.List(fields.Nested(FailureGroupSchema), required=True)
    count = fields.Integer(required=True)
    at_least = fields.Boolean(required=True, metadata={"description": "There are more than could be looked at."})
    submitted_since = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "Jobs submitted before were not looked at."}
    )


@blueprint.route("/task-failures")
@blueprint.arguments(FailuresQuerySchema, location="query", unknown=RAISE)
@blueprint.response(200, FailuresSchema)
@blueprint.problems(422, 503)
def failures(query: dict[str, Any]) -> Response:
    """Group failures by type of error and task

    Those that ended within a `window`: hour, day, week, month or all. Looks at the newest 10 000 failures.
    """
    span = triage.WINDOWS[query["window"]]
    found = service.failures(None if span is None else utcnow() - span, resolved=query["resolved"])
    return json_response(
        {
            "groups": [
                {
                    "error": group.error,
                    "task": group.task,
                    "count": group.count,
                    "within": group.within,
                    "first_at": timestamp(group.first_at),
                    "last_at": timestamp(group.last_at),
                    "newest_task_id": group.newest,
                    "message": group.message,
                }
                for group in found.groups
            ],
            "count": found.count,
            "at_least": found.at_least,
            "submitted_since": timestamp(found.submitted_since),
        }
    )
