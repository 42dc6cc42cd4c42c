"""Routes that accept jobs."""

from typing import Any

from flask import Response, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import UnsupportedMediaType

from ..errors import JobExists
from ..jobs import service
from ..jobs.submission import Submission
from ..mirror.public import submit_task
from ..web.problems import FieldErrors, problem
from ..web.submission import SubmissionSchema
from .blueprint import blueprint
from .body import json_body, raw_body
from .job import WholeJobSchema, job_response, json_response
from .schemas import BatchAnswerSchema, BatchSchema

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@blueprint.route("/tasks", methods=["POST"])
@blueprint.arguments(SubmissionSchema(), example={"task": "add", "kwargs": {"a": 1, "b": 2}})
@blueprint.response(202, WholeJobSchema, headers={"Location": {"schema": {"type": "string"}}})
@blueprint.problems(400, 409, 413, 415, 422, 503)
def submit(submission: Submission) -> Response:
    """Submit a job

    The job is accepted when the answer comes: it stays in the table until it has run, whatever happens to the broker.
    """
    return job_response(service.submit(submission), 202)


@blueprint.route("/tasks/batch", methods=["POST"])
@blueprint.arguments(BatchSchema())
@blueprint.response(202, BatchAnswerSchema)
@blueprint.problems(400, 409, 413, 415, 422, 503)
def submit_batch(batch: dict[str, list[Submission]]) -> Response:
    """Submit many jobs, all or none

    The body is `{"jobs": [...]}` or the list itself. One bad job refuses the batch; `errors` holds them by index.
    """
    jobs = batch["jobs"]
    try:
        ids = service.submit_many(jobs)
    except JobExists as error:
        # Where an id is there twice, the second is the one too many.
        index = max(i for i, job in enumerate(jobs) if job.id == error.job_id)
        return problem(409, str(error), errors={str(index): {"task_id": ["This id is taken."]}})
    return json_response({"task_ids": ids, "count": len(ids)}, 202)


def submit_by_name(name: str) -> Response:
    """Submit a job of this task

    The body is an object of the task's arguments, or a form with a field for each. An empty body gives none.
    """
    kwargs, is_form = _arguments_of_request()
    job = submit_task(name, kwargs=kwargs, coerce=is_form)
    return job_response(job, 202, result_id=job.id)


def _add_submit_by_name(state: BlueprintSetupState) -> None:
    # Not through flask-smorest: the document has a path of its own for each task, see `docs`.
    state.add_url_rule("/tasks/<name>", view_func=submit_by_name, methods=["POST"])


blueprint.record(_add_submit_by_name)


def _arguments_of_request() -> tuple[dict[str, Any], bool]:
    """Return keyword arguments, and whether they are the text of a form."""
    raw = raw_body()
    if request.mimetype in FORMS:
        if request.files:
            raise FieldErrors({name: ["Files are not accepted."] for name in request.files})
        return request.form.to_dict(flat=False), True
    if not request.mimetype and raw:
        raise UnsupportedMediaType("Send JSON or a form, with its Content-Type.")
    body = json_body(optional=True)
    if not isinstance(body, dict):
        raise FieldErrors({"body": ["Must be an object of the task's arguments."]})
    return body, False
