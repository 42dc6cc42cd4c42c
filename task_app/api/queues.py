"""Routes of queues: what waits in them, and pausing them."""

from flask import Response
from marshmallow import Schema, fields

from ..jobs import service
from ..jobs.lists import COUNT_LIMIT
from ..jobs.queues import document
from ..web.access import visitor
from .blueprint import blueprint
from .job import json_response


class QueueSchema(Schema):
    """A queue that holds jobs, that a living worker listens to, or that is paused."""

    queue = fields.String(required=True)
    waiting = fields.Integer(
        required=True,
        metadata={"description": f"Jobs that are ready and that nobody has started; {COUNT_LIMIT}: that many or more."},
    )
    oldest_at = fields.DateTime(
        required=True, allow_none=True, metadata={"description": "Since when the oldest of them has been ready."}
    )
    listeners = fields.List(fields.String(), required=True, metadata={"description": "Names of living workers."})
    paused_at = fields.DateTime(required=True, allow_none=True, metadata={"description": "null: it is not paused."})
    paused_by = fields.String(required=True, allow_none=True)


@blueprint.route("/task-queues")
@blueprint.response(200, QueueSchema(many=True))
@blueprint.problems(503)
def queues() -> Response:
    """List queues, by name

    Those that hold jobs, that a living worker listens to, or that are paused.
    """
    return json_response([document(queue) for queue in service.queue_views()])


@blueprint.route("/task-queues/<path:queue>/pause", methods=["POST"])
@blueprint.response(202, QueueSchema)
@blueprint.alt_response(200, schema=QueueSchema)
@blueprint.problems(404, 422, 503)
def pause(queue: str) -> Response:
    """Pause a queue

    Workers take nothing from it until it is resumed, and give back what they have not started; they obey within two
    seconds. What runs goes on. Jobs are accepted, cancelled and expire as ever. 200 if it is paused already.
    """
    changed = service.pause_queue(queue, by=visitor().name)
    return json_response(document(service.queue_view(queue)), 202 if changed else 200)


@blueprint.route("/task-queues/<path:queue>/resume", methods=["POST"])
@blueprint.response(202, QueueSchema)
@blueprint.alt_response(200, schema=QueueSchema)
@blueprint.problems(404, 422, 503)
def resume(queue: str) -> Response:
    """Resume a paused queue

    200 if it is not paused.
    """
    changed = service.resume_queue(queue, by=visitor().name)
    return json_response(document(service.queue_view(queue)), 202 if changed else 200)
