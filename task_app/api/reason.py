"""The route that says why a job is not running."""

from datetime import datetime
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from ..jobs import service
from ..jobs.runtime import utcnow
from ..jobs.view import timestamp
from ..jobs.wording import Ref, Sentence
from ..mirror.public import rate_limit_of
from .blueprint import blueprint
from .job import json_response


class ReasonSchema(Schema):
    """Why a job is not running, or how its run is."""

    task_id = fields.String(required=True)
    task_status = fields.String(required=True)
    waiting_for = fields.String(required=True, allow_none=True)
    cause = fields.String(
        required=True, allow_none=True, metadata={"description": "In a word; null for a job that has ended."}
    )
    text = fields.String(required=True, allow_none=True, metadata={"description": "In plain sentences. Times are UTC."})
    sentences = fields.List(
        fields.List(fields.Dict(keys=fields.String(), values=fields.String())),
        required=True,
        metadata={"description": "The same in pieces: text, moment, job, queue, worker."},
    )
    safe = fields.Boolean(required=True, metadata={"description": "The table alone brings the job back."})
    facts = fields.Dict(required=True, metadata={"description": "For programs; what there is depends on the cause."})


@blueprint.route("/tasks/<task_id>/reason")
@blueprint.response(200, ReasonSchema)
@blueprint.problems(404, 503)
def show_reason(task_id: str) -> Response:
    """Say why a job is not running

    Looks at workers, queues and other jobs as well. For a running job it says whether its worker lives.
    """
    job = service.get(task_id)
    found = service.explain(job, rate_limit=rate_limit_of(job.task))
    return json_response(
        {
            "task_id": job.id,
            "task_status": job.state,
            "waiting_for": job.waiting_for(utcnow()),
            "cause": found.cause if found else None,
            "text": found.text if found else None,
            "sentences": [_pieces(sentence) for sentence in found.sentences] if found else [],
            "safe": found.safe if found else True,
            "facts": _plain(found.facts) if found else {},
        }
    )


def _pieces(sentence: Sentence) -> list[dict[str, str]]:
    found = []
    for piece in sentence:
        if isinstance(piece, datetime):
            found.append({"moment": timestamp(piece) or ""})
        elif isinstance(piece, Ref):
            found.append({piece.kind: piece.name})
        else:
            found.append({"text": piece})
    return found


def _plain(value: Any) -> Any:
    """Write moments as every other answer does."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value
