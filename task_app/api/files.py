"""Routes of files: what jobs read, and what they have made."""

from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from marshmallow import RAISE, Schema, fields, validate

from ..files import service
from ..files.view import FileInfo
from ..jobs.lists import Place
from ..keys.roles import Role
from ..web import cursor
from ..web.access import needs
from ..web.downloads import download
from ..web.lists import Cursor
from ..web.uploads import store_upload
from .blueprint import blueprint
from .job import json_response

UPLOAD = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
                "additionalProperties": False,
            }
        }
    },
}


class FileSchema(Schema):
    """A stored file."""

    id = fields.String(required=True)
    name = fields.String(required=True, metadata={"description": "As it was sent, made fit to be kept."})
    size = fields.Integer(required=True, metadata={"description": "Bytes."})
    type = fields.String(required=True, metadata={"description": "As it was said; nobody has looked inside."})
    sha256 = fields.String(required=True)
    created_at = fields.DateTime(required=True)
    made_by = fields.String(required=True, allow_none=True, metadata={"description": "The job whose artefact it is."})
    link = fields.String(required=True, metadata={"description": "Where its bytes are."})


class FilePageSchema(Schema):
    """A page of files, newest first."""

    files = fields.List(fields.Nested(FileSchema), required=True)
    next = fields.String(required=True, allow_none=True, metadata={"description": "null on the last page."})
    next_cursor = fields.String(required=True, allow_none=True)


class FilesQuerySchema(Schema):
    """Which files to list."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
    cursor = Cursor(metadata={"description": "`next_cursor` of the page before."})


@blueprint.route("/files", methods=["POST"])
@blueprint.response(201, FileSchema, headers={"Location": {"schema": {"type": "string"}}})
@blueprint.problems(400, 413, 415, 422, 503)
@blueprint.doc(requestBody=UPLOAD)
def upload() -> Response:
    """Upload a file

    The body is multipart/form-data with one part, the file. Its id, in the arguments of a job, lets a task read it.
    """
    stored = store_upload()
    response = json_response(_shown(stored), 201)
    response.headers["Location"] = _link(stored.id)
    return response


@blueprint.route("/files")
@blueprint.arguments(FilesQuerySchema, location="query", unknown=RAISE)
@blueprint.response(200, FilePageSchema)
@blueprint.problems(422, 503)
def files(query: dict[str, Any]) -> Response:
    """List files, newest first

    `next` is the address of the following page; null says that no more follow.
    """
    after: Place | None = query.get("cursor")
    found, end = service.page(limit=query["limit"], after=after)
    next_cursor = cursor.encode(end) if end else None
    more = {**request.args.to_dict(), "cursor": next_cursor}
    next_url = f"{request.script_root}/files?{urlencode(more)}" if next_cursor else None
    return json_response({"files": [_shown(file) for file in found], "next": next_url, "next_cursor": next_cursor})


@blueprint.route("/files/<file_id>")
@blueprint.response(200, {"type": "string", "format": "binary"}, content_type="application/octet-stream")
@blueprint.problems(404, 416, 503)
def fetch(file_id: str) -> Response:
    """Download a file

    With its own Content-Type, as an attachment. Ranges can be asked for; the ETag is the file's SHA-256.
    """
    return download(file_id)


@blueprint.route("/files/<file_id>/info")
@blueprint.response(200, FileSchema)
@blueprint.problems(404, 503)
def file_info(file_id: str) -> Response:
    """Show what is known of a file"""
    return json_response(_shown(service.info(file_id)))


@blueprint.route("/files/<file_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.problems(404, 409, 503)
@needs(Role.ADMIN)
def delete_file(file_id: str) -> Response:
    """Delete a file for good

    409 while a job that has not ended uses it.
    """
    service.delete(file_id)
    return Response(status=204)


def _shown(file: FileInfo) -> dict[str, Any]:
    return file.document() | {"link": _link(file.id)}


def _link(file_id: str) -> str:
    return f"{request.script_root}/files/{file_id}"
