"""The route that does one thing to many jobs."""

from collections import Counter
from typing import Any

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate, validates_schema
from werkzeug.exceptions import Forbidden

from ..jobs import actions
from ..jobs.actions import STEP, Action, Outcome
from ..jobs.filters import Filter
from ..keys.roles import Role
from ..web import cursor
from ..web.access import may
from ..web.lists import Cursor, FilterSchema, PossibleId
from .blueprint import blueprint
from .job import json_response


class ActionsSchema(Schema):
    """What to do, and to which jobs: these, or all that a filter wants."""

    action = fields.String(required=True, validate=validate.OneOf([action.value for action in Action]))
    task_ids = fields.List(PossibleId(), validate=validate.Length(1, STEP))
    filter = fields.Nested(FilterSchema, metadata={"description": "As in the list; at least one condition."})
    cursor = Cursor(metadata={"description": "`next_cursor` of the answer before; with a filter."})

    @validates_schema
    def check(self, data: dict[str, Any], **kwargs: Any) -> None:
        """Refuse what names no jobs, or names them twice over."""
        if ("task_ids" in data) == ("filter" in data):
            raise ValidationError("Give either task_ids or a filter.", "task_ids")
        if data.get("filter") == Filter():
            raise ValidationError("Name at least one condition.", "filter")
        if "cursor" in data and "filter" not in data:
            raise ValidationError("Only with a filter.", "cursor")


class OutcomeSchema(Schema):
    """What became of one job."""

    task_id = fields.String(required=True)
    outcome = fields.String(required=True, validate=validate.OneOf([outcome.value for outcome in Outcome]))
    detail = fields.String(required=True)


class OutcomesSchema(Schema):
    """What became of each job, and where to go on."""

    outcomes = fields.List(fields.Nested(OutcomeSchema), required=True)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    next_cursor = fields.String(
        required=True, allow_none=True, metadata={"description": "Send it with the same filter; null: all is done."}
    )


@blueprint.route("/task-actions", methods=["POST"])
@blueprint.arguments(ActionsSchema)
@blueprint.response(200, OutcomesSchema)
@blueprint.problems(400, 403, 413, 415, 422, 503)
def act(body: dict[str, Any]) -> Response:
    """Cancel, retry, resolve or delete many jobs

    Those named, up to 200, or all that a filter wants: then one call handles up to 200 of them, the newest first, and
    `next_cursor` says where the next call goes on. Jobs that come meanwhile are not concerned. Deleting takes an admin.
    """
    action = Action(body["action"])
    if action is Action.DELETE and not may(Role.ADMIN):
        raise Forbidden("Only an admin deletes jobs.")
    if "task_ids" in body:
        step = actions.on_jobs(action, body["task_ids"])
    else:
        step = actions.step(action, body["filter"], after=body.get("cursor"))
    counts = Counter(done.outcome for done in step.done)
    return json_response(
        {
            "outcomes": [
                {"task_id": done.job_id, "outcome": done.outcome, "detail": done.detail} for done in step.done
            ],
            "counts": {outcome: counts[outcome] for outcome in Outcome},
            "next_cursor": cursor.encode(step.next) if step.next else None,
        }
    )
