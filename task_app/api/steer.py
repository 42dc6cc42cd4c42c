"""Routes that move jobs: cancel, retry, resolve, delete."""

from typing import Any

from flask import Response
from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate
from werkzeug.exceptions import Conflict

from ..jobs import service
from ..keys.roles import Role
from ..mirror.public import UnknownTask
from ..web.access import needs
from ..web.problems import FieldErrors
from ..web.submission import ArgumentsSchema, edited_arguments
from .blueprint import blueprint
from .body import json_body
from .job import WholeJobSchema, job_response


@blueprint.route("/tasks/<task_id>/cancel", methods=["POST"])
@blueprint.response(202, WholeJobSchema)
@blueprint.problems(404, 409, 503)
def cancel(task_id: str) -> Response:
    """Cancel a job

    A waiting job is REVOKED at once. A running one is told to end, and terminated if it doesn't. 409 if it has ended.
    """
    return job_response(service.cancel(task_id), 202)


class RetryQuerySchema(Schema):
    """Which attempt to retry."""

    attempt = fields.Integer(
        validate=validate.Range(1, 2**31 - 1),
        metadata={"description": "Only if this is the attempt that has ended; so the request can safely be repeated."},
    )


@blueprint.route("/tasks/<task_id>/retry", methods=["POST"])
@blueprint.arguments(RetryQuerySchema, location="query", unknown=EXCLUDE)
@blueprint.response(202, WholeJobSchema)
@blueprint.problems(400, 404, 409, 413, 415, 422, 503)
@blueprint.doc(
    requestBody={"required": False, "content": {"application/json": {"schema": ArgumentsSchema}}},
)
def retry(query: dict[str, int], task_id: str) -> Response:
    """Run an ended job again

    With the same arguments, or with those in the body in place of the old ones. 409 while the job has not ended.
    """
    edited = _edited_arguments(task_id, json_body(optional=True))
    return job_response(service.retry(task_id, **edited, attempt=query.get("attempt")), 202)


@blueprint.route("/tasks/<task_id>/resolve", methods=["POST"])
@blueprint.response(200, WholeJobSchema)
@blueprint.problems(404, 409, 503)
def resolve(task_id: str) -> Response:
    """Say that a failure is dealt with

    Lists of what is unresolved leave it out. It may be said twice; a retry takes it back. 409 for what is not a
    failure.
    """
    return job_response(service.resolve(task_id))


@blueprint.route("/tasks/<task_id>/resolve", methods=["DELETE"])
@blueprint.response(200, WholeJobSchema)
@blueprint.problems(404, 409, 503)
def unresolve(task_id: str) -> Response:
    """Say that a failure is not dealt with after all"""
    return job_response(service.resolve(task_id, resolved=False))


@blueprint.route("/tasks/<task_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.problems(404, 409, 503)
@needs(Role.ADMIN)
def delete(task_id: str) -> Response:
    """Delete an ended job for good"""
    service.delete(task_id)
    return Response(status=204)


def _edited_arguments(task_id: str, body: Any) -> dict[str, str]:
    """Return new arguments as JSON, validated together with those that stay."""
    try:
        edited = ArgumentsSchema().load(body)
    except ValidationError as error:
        raise FieldErrors(error.messages) from None
    if not edited:
        return {}
    job = service.get(task_id)
    try:
        return edited_arguments(job, edited)
    except UnknownTask:
        raise Conflict(f"There is no task {job.task} any more that could check the arguments.") from None
    except ValidationError as error:
        raise FieldErrors(error.messages) from None
