"""A job as JSON: the function that writes it and the schema that documents it."""

import json
from typing import Any
from urllib.parse import quote

from flask import Response, request
from marshmallow import Schema, fields

from ..jobs.document import document
from ..jobs.runtime import utcnow
from ..jobs.view import JobView


def job_json(job: JobView, root: str = "") -> dict[str, Any]:
    """Return the JSON of a job; `root` is the path under which the app is mounted.

    A plain function, not `JobSchema.dump`: lists and streams write many jobs.
    """
    return document(job, utcnow()) | {"links": links(job.id, root)}


def whole_job_json(job: JobView, root: str = "") -> dict[str, Any]:
    """Return the JSON of a job by itself: with the files it has made, which lists leave out."""
    made = [file | {"link": f"{root}/files/{file['id']}"} for file in job.artefacts]
    return job_json(job, root) | {"artefacts": made}


def links(job_id: str, root: str) -> dict[str, str]:
    """Return where to go from a job."""
    here = f"{root}/tasks/{quote(job_id, safe='')}"
    return {"self": here, "events": f"{here}/events", "cancel": f"{here}/cancel", "retry": f"{here}/retry"}


def job_response(job: JobView, status: int = 200, **more: Any) -> Response:
    """Answer with a job, and where it is when it was just accepted."""
    shown = whole_job_json(job, request.script_root) | more
    response = json_response(shown, status)
    if status == 202:
        response.headers["Location"] = shown["links"]["self"]
    return response


def json_response(document: Any, status: int = 200) -> Response:
    """Answer with JSON whose keys stay in order: a client's arguments come back as they were sent."""
    return Response(json.dumps(document, separators=(",", ":")), status=status, mimetype="application/json")


def _field(kind: type[fields.Field[Any]], about: str = "", *, null: bool = False) -> Any:
    """Return a field that is always there, and null only if `null`."""
    return kind(required=True, allow_none=null, metadata={"description": about} if about else {})


class ProgressSchema(Schema):
    """How far a job is."""

    current = _field(fields.Raw, null=True)
    total = _field(fields.Raw, null=True)
    percent = _field(fields.Float, "0 to 100", null=True)
    message = _field(fields.Raw, null=True)


class JobErrorSchema(Schema):
    """Why an attempt failed."""

    type = _field(fields.String, null=True)
    message = _field(fields.String, null=True)
    traceback = _field(fields.String, null=True)


class AttemptSchema(Schema):
    """One execution of a job."""

    attempt = _field(fields.Integer)
    state = _field(fields.String)
    worker = _field(fields.String, null=True)
    started_at = _field(fields.DateTime, null=True)
    finished_at = _field(fields.DateTime, null=True)
    error = fields.Nested(JobErrorSchema, required=True, allow_none=True)


class LinksSchema(Schema):
    """Where to go from a job."""

    self = _field(fields.String)
    events = _field(fields.String)
    cancel = _field(fields.String)
    retry = _field(fields.String)


class JobSchema(Schema):
    """A job."""

    task_id = _field(fields.String)
    task_status = _field(fields.String, "One of Celery's states or a task's own.")
    task_result = _field(fields.Raw, "What the task returned.", null=True)
    task = _field(fields.String)
    args = fields.List(fields.Raw(allow_none=True), required=True)
    kwargs = fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True), required=True)
    queue = _field(fields.String)
    priority = _field(fields.Integer, "0 to 9, higher first.")
    progress = fields.Nested(ProgressSchema, required=True)
    meta = _field(fields.Raw, "What the task reported last, as it did.", null=True)
    error = fields.Nested(JobErrorSchema, required=True, allow_none=True)
    attempt = _field(fields.Integer, "The attempt that runs, ran last or runs next.")
    retries = _field(fields.Integer)
    history = fields.List(fields.Nested(AttemptSchema), required=True)
    waiting_for = _field(fields.String, "Why the job is not running; null when it runs or has ended.", null=True)
    worker = _field(fields.String, null=True)
    parent_id = _field(fields.String, null=True)
    root_id = _field(fields.String, null=True)
    group_id = _field(fields.String, null=True)
    tags = fields.List(fields.String(), required=True)
    max_retries = _field(fields.Integer, null=True)
    soft_time_limit = _field(fields.Float, "Seconds.", null=True)
    time_limit = _field(fields.Float, "Seconds.", null=True)
    created_at = _field(fields.DateTime)
    due_at = _field(fields.DateTime, null=True)
    expires_at = _field(fields.DateTime, null=True)
    published_at = _field(fields.DateTime, "When the broker took the message.", null=True)
    started_at = _field(fields.DateTime, null=True)
    finished_at = _field(fields.DateTime, null=True)
    cancel_requested_at = _field(fields.DateTime, null=True)
    resolved_at = _field(fields.DateTime, "When somebody dealt with this failure.", null=True)
    links = fields.Nested(LinksSchema, required=True)


class ArtefactSchema(Schema):
    """A file that a job has made."""

    id = _field(fields.String)
    name = _field(fields.String)
    size = _field(fields.Integer, "Bytes.")
    type = _field(fields.String)
    sha256 = _field(fields.String)
    link = _field(fields.String, "Where its bytes are.")


class WholeJobSchema(JobSchema):
    """A job by itself."""

    artefacts = fields.List(
        fields.Nested(ArtefactSchema), required=True, metadata={"description": "Files that it has made, by name."}
    )


class NamedJobSchema(WholeJobSchema):
    """A job submitted by the name of its task."""

    result_id = _field(fields.String, "The same as task_id, for clients of the Flask tutorial.")


class JobPageSchema(Schema):
    """A page of jobs, newest first."""

    tasks = fields.List(fields.Nested(JobSchema), required=True)
    next = _field(fields.String, "Where the next page is; null on the last.", null=True)
    next_cursor = _field(fields.String, null=True)
