"""What has happened: how many jobs ended, how long they waited and ran, and how much waited meanwhile."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from flask import Response
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from ..jobs import figures
from ..jobs.figures import Figures, Kind, Point
from ..jobs.histogram import ERROR
from ..jobs.runtime import utcnow
from ..jobs.view import timestamp
from ..web.lists import QueryText
from ..web.submission import Moment
from .blueprint import blueprint
from .job import json_response

HOUR = timedelta(hours=1)
MOST_POINTS = 1000


class StatsQuerySchema(Schema):
    """Of what, and of which time."""

    kind = fields.String(load_default=str(Kind.ALL), validate=validate.OneOf([str(kind) for kind in Kind]))
    name = QueryText(metadata={"description": "Of the task or queue."})
    since = Moment(data_key="from", metadata={"description": "An hour before `to` if not given."})
    until = Moment(data_key="to", metadata={"description": "Now if not given."})
    points = fields.Integer(
        load_default=figures.POINTS,
        validate=validate.Range(1, MOST_POINTS),
        metadata={"description": "How many are wanted; there may be two more, and fewer where less is kept."},
    )

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Return the arguments of `figures.series`."""
        kind, name = data["kind"], data.get("name", "")
        if (kind == Kind.ALL) != (not name):
            raise ValidationError("Goes together with kind=task or kind=queue.", "name")
        end: datetime = data.get("until") or utcnow()
        start: datetime = data.get("since") or end - HOUR
        if start >= end:
            raise ValidationError("Must be before `to`.", "from")
        return {"kind": kind, "name": name, "start": start, "end": end, "points": data["points"]}


class PercentilesSchema(Schema):
    """Seconds that so many did not exceed."""

    p50 = fields.Float(required=True)
    p95 = fields.Float(required=True)
    p99 = fields.Float(required=True)


class FiguresSchema(Schema):
    """What happened in a stretch of time. All are null where nobody looked."""

    succeeded = fields.Integer(required=True, allow_none=True)
    failed = fields.Integer(required=True, allow_none=True)
    revoked = fields.Integer(required=True, allow_none=True)
    wait = fields.Nested(
        PercentilesSchema,
        required=True,
        allow_none=True,
        metadata={"description": f"From when a job could have run to its start, to within {ERROR:.1%}; null: no job."},
    )
    run = fields.Nested(
        PercentilesSchema,
        required=True,
        allow_none=True,
        metadata={"description": "From its start to its end, of the last attempt; null: no job was started."},
    )
    depth = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The most jobs that waited for a worker at once."}
    )
    oldest = fields.Float(
        required=True, allow_none=True, metadata={"description": "The longest that one of them had waited, in seconds."}
    )


class PointSchema(FiguresSchema):
    """One step."""

    at = fields.DateTime(required=True, metadata={"description": "Its beginning."})
    seconds = fields.Integer(required=True, metadata={"description": "How much of it was looked at; 0: a gap."})


class StatsSchema(Schema):
    """What happened, step by step and in all."""

    kind = fields.String(required=True)
    name = fields.String(required=True)
    start = fields.DateTime(required=True, data_key="from")
    end = fields.DateTime(required=True, data_key="to")
    seconds = fields.Integer(required=True, metadata={"description": "Between two points."})
    points = fields.List(fields.Nested(PointSchema), required=True)
    total = fields.Nested(FiguresSchema, required=True)


@blueprint.route("/stats")
@blueprint.arguments(StatsQuerySchema, location="query", unknown=RAISE)
@blueprint.response(200, StatsSchema)
@blueprint.problems(422, 503)
def stats(query: dict[str, Any]) -> Response:
    """Show what has happened

    How many jobs ended and how long they waited and ran, step by step: of all jobs, of a task or of a queue. The newest
    point is some ten seconds old. Percentiles cannot be added up; `total` has those of the whole time.
    """
    found = figures.series(**query)
    return json_response(
        {
            "kind": found.kind,
            "name": found.name,
            "from": timestamp(found.start),
            "to": timestamp(found.end),
            "seconds": found.seconds,
            "points": [_point(point) for point in found.points],
            "total": asdict(found.total),
        }
    )


_UNKNOWN = dict.fromkeys(Figures.__dataclass_fields__)


def _point(point: Point) -> dict[str, Any]:
    known = _UNKNOWN if point.figures is None else asdict(point.figures)
    return {"at": timestamp(point.at), "seconds": point.seconds, **known}
