"""Routes that read jobs and tasks."""

from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from marshmallow import RAISE, Schema, fields

from ..jobs import service
from ..jobs.lists import COUNT_LIMIT, Filter, Place
from ..jobs.runtime import runtime
from ..mirror import arguments
from ..mirror.public import public_tasks, queue_of, summary_of
from ..web import cursor
from ..web.lists import ListQuerySchema
from ..web.streams import for_a_while, last_event_id, stream
from .blueprint import blueprint
from .job import JobPageSchema, WholeJobSchema, job_json, job_response, json_response
from .schemas import WaitQuerySchema
from .stream import PageLook, follow, follow_page
from .watch import wait_for_end

#: What a server-sent event has, in the document.
EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "description": "JSON"},
    },
}


@blueprint.route("/tasks/<task_id>")
@blueprint.arguments(WaitQuerySchema, location="query", unknown=RAISE)
@blueprint.response(200, WholeJobSchema)
@blueprint.problems(404, 422, 503)
def show(query: dict[str, float], task_id: str) -> Response:
    """Show a job

    With `wait`, the answer comes as soon as the job has ended, at the latest after so many seconds.
    """
    return job_response(wait_for_end(task_id, query["wait"]))


@blueprint.route("/tasks")
@blueprint.arguments(ListQuerySchema, location="query", unknown=RAISE)
@blueprint.response(200, JobPageSchema)
@blueprint.problems(422, 503)
def index(query: tuple[Filter, int, Place | None]) -> Response:
    """List jobs, newest first

    Filters can be combined. `next` is the address of the following page; null says that no more follow. Where filters
    seldom meet, a page may have fewer jobs than `limit`, even none, and still a `next`.
    """
    wanted, limit, after = query
    found = service.page(wanted, limit=limit, after=after)
    next_cursor = cursor.encode(found.next) if found.next else None
    next_url = _next_url(next_cursor) if next_cursor else None
    root = request.script_root
    page = {"tasks": [job_json(job, root) for job in found.jobs], "next": next_url, "next_cursor": next_cursor}
    response = json_response(page)
    if next_url:
        response.headers["Link"] = f'<{next_url}>; rel="next"'
    return response


def _next_url(next_cursor: str) -> str:
    query = {**request.args.to_dict(), "cursor": next_cursor}
    return f"{request.script_root}/tasks?{urlencode(query)}"


class CountsSchema(Schema):
    """How many jobs there are."""

    counts = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    limit = fields.Integer(required=True, metadata={"description": "A count of this much means: that many or more."})


@blueprint.route("/task-counts")
@blueprint.response(200, CountsSchema)
@blueprint.problems(503)
def counts() -> Response:
    """Count jobs by state

    Counting stops at `limit`, so it costs the same however many there are.
    """
    return json_response({"counts": service.counts(), "limit": COUNT_LIMIT})


@blueprint.route("/tasks/<task_id>/events")
@blueprint.response(200, EVENT, content_type="text/event-stream")
@blueprint.problems(404, 503)
def events(task_id: str) -> Response:
    """Follow a job as server-sent events

    `job` events carry the job's JSON: at once, then after each change. The last event is `end`, with the outcome, or
    `gone` if the job was deleted. With `Last-Event-ID` nothing is sent that was seen already, except the outcome.
    """
    job = service.get(task_id)
    return stream(follow(runtime().feed, job, last_event_id(), request.script_root))


@blueprint.route("/task-events")
@blueprint.arguments(ListQuerySchema, location="query", unknown=RAISE)
@blueprint.response(200, EVENT, content_type="text/event-stream")
@blueprint.problems(422, 503)
def list_events(query: tuple[Filter, int, Place | None]) -> Response:
    """Follow a page of jobs as server-sent events

    The filters are those of the list. `page` comes first, with `tasks`, newest first; then `change` events, with the
    `tasks` on the page that are new or have changed, and in `left` the ids of those that are on it no more. With
    `Last-Event-ID` the page is sent only if it is no longer what was seen. After some minutes a stream ends with `bye`;
    connect again, as every `EventSource` does by itself.
    """
    look = PageLook(*query)
    return stream(for_a_while(follow_page(runtime().lookout, look, last_event_id(), request.script_root)))


class TaskTypeSchema(Schema):
    """A task that clients can ask for."""

    name = fields.String(required=True)
    summary = fields.String(required=True)
    schema = fields.Dict(required=True, metadata={"description": "JSON Schema (2020-12) of the arguments by name."})
    queue = fields.String(required=True)
    soft_time_limit = fields.Float(required=True, allow_none=True, metadata={"description": "Seconds."})
    time_limit = fields.Float(required=True, allow_none=True, metadata={"description": "Seconds."})
    max_retries = fields.Integer(required=True, allow_none=True, metadata={"description": "null: no limit."})
    rate_limit = fields.Raw(required=True, allow_none=True)


@blueprint.route("/task-types")
@blueprint.response(200, TaskTypeSchema(many=True))
def task_types() -> Response:
    """List the tasks that can be submitted"""
    return json_response([_task_type(task) for task in public_tasks()])


def _task_type(task: Any) -> dict[str, Any]:
    return {
        "name": task.name,
        "summary": summary_of(task),
        "schema": arguments.json_schema_of(task),
        "queue": queue_of(task),
        "soft_time_limit": task.soft_time_limit,
        "time_limit": task.time_limit,
        "max_retries": task.max_retries,
        "rate_limit": task.rate_limit,
    }
