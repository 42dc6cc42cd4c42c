"""The routes of the well-known Flask and Celery tutorials, with exactly their answers: their clients work unchanged.

They are the same jobs as everywhere else. `CLASSIC_ROUTES` turns them off.
"""

from typing import Any

from flask import Blueprint, Flask, Response, current_app, url_for
from werkzeug.exceptions import NotFound

from ..jobs import service
from ..jobs.states import State, is_final
from ..jobs.view import JobView
from ..mirror import arguments
from ..mirror.public import find_task, submit_task
from ..users import service as users
from ..web.access import acts, guard
from ..web.ids import refuse_impossible_ids
from ..web.problems import FieldErrors
from .body import json_body
from .job import json_response

blueprint = Blueprint("classic", __name__)
guard(blueprint)
blueprint.before_request(refuse_impossible_ids)


def init_app(app: Flask) -> None:
    """Serve these routes."""
    app.register_blueprint(blueprint)


@blueprint.route("/run-task")
@acts
def run_task() -> Response:
    """Start a job that sleeps."""
    job = submit_task("sleep_task", kwargs={"seconds": current_app.config["CLASSIC_SLEEP_SECONDS"]})
    return _text(f"Task ID: {job.id}")


@blueprint.route("/task-status/<task_id>")
def task_status(task_id: str) -> Response:
    """Say what a job's state is, and what it reported, returned or failed with."""
    job = service.get(task_id)
    status: Any = _error_text(job)
    if job.state == State.PENDING:
        status = "Pending..."
    elif job.state == State.SUCCESS:
        status = job.result
    elif status is None:
        status = "" if job.meta is None else job.meta
    return json_response({"state": job.state, "status": status})


@blueprint.route("/longtask", methods=["POST"])
def longtask() -> Response:
    """Start a job with many steps; Location tells where its status is."""
    job = submit_task("long_task")
    response = json_response({}, 202)
    response.headers["Location"] = url_for("classic.status", task_id=job.id)
    return response


@blueprint.route("/status/<task_id>")
def status(task_id: str) -> Response:
    """Say how far a job is."""
    job = service.get(task_id)
    return json_response({"state": job.state, **_how_far(job)})


@blueprint.route("/welcome", methods=["POST"])
def welcome() -> Response:
    """Queue a welcome mail to a user."""
    body = _json_object()
    arguments.bind(find_task("send_welcome_email"), [], body)
    if users.get(body["user_id"]) is None:
        raise NotFound("There is no user with this id.")
    submit_task("send_welcome_email", kwargs=body)
    return _text("Welcome email sent!")


@blueprint.route("/add", methods=["POST"])
def add() -> Response:
    """Start a job that waits and adds."""
    job = submit_task("add", kwargs={"delay": current_app.config["CLASSIC_ADD_SECONDS"], **_json_object()})
    return json_response({"task_id": job.id})


@blueprint.route("/result/<task_id>")
def result(task_id: str) -> Response:
    """Return what a job returned or failed with."""
    job = service.get(task_id)
    return json_response({"status": job.state, "result": _outcome(job)})


@blueprint.route("/tasks/result/<task_id>")
def task_result(task_id: str) -> Response:
    """Say whether a job has ended, and how, or how far it is."""
    job = service.get(task_id)
    if not is_final(job.state):
        return json_response({"ready": False, "successful": None, "value": _steps(job)})
    return json_response({"ready": True, "successful": job.state == State.SUCCESS, "value": _outcome(job)})


def _outcome(job: JobView) -> Any:
    """Return the result or the error's text; None before the end."""
    if job.state == State.SUCCESS:
        return job.result
    return _error_text(job) if is_final(job.state) else None


def _error_text(job: JobView) -> str | None:
    """Return why the job, or its last attempt while it waits for the next, failed."""
    if job.error is None or job.state not in (State.FAILURE, State.REVOKED, State.RETRY):
        return None
    return str(job.error["message"])


def _how_far(job: JobView) -> dict[str, Any]:
    if job.state == State.PENDING:
        return {"current": 0, "total": 1, "status": "Pending..."}
    if job.state in (State.FAILURE, State.REVOKED):
        return {"current": 1, "total": 1, "status": _error_text(job)}
    if job.state == State.SUCCESS:
        done = {"current": 100, "total": 100, "status": "Task completed!", "result": job.result}
        # A task may return an answer of this shape by itself, as `long_task` does.
        return done | job.result if isinstance(job.result, dict) and job.result.keys() == done.keys() else done
    reported = _reported(job)
    message = reported.get("message") or reported.get("status") or _error_text(job) or ""
    return {"current": reported.get("current", 0), "total": reported.get("total", 1), "status": message}


def _steps(job: JobView) -> dict[str, Any]:
    """Return what was reported; before that, nothing done of what was asked for."""
    asked = job.kwargs.get("total")
    total = asked if isinstance(asked, int) and asked > 0 else 1
    return {"current": 0, "total": total, **_reported(job)}


def _reported(job: JobView) -> dict[str, Any]:
    meta = job.meta if isinstance(job.meta, dict) else {}
    return {key: value for key, value in meta.items() if value is not None}


def _json_object() -> dict[str, Any]:
    body = json_body()
    if not isinstance(body, dict):
        raise FieldErrors({"body": ["Must be an object."]})
    return body


def _text(text: str) -> Response:
    return Response(text, mimetype="text/plain")
