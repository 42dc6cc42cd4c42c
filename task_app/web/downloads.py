"""A stored file on its way out. Whatever somebody has uploaded, no browser shows it as a page of ours."""

import base64
from urllib.parse import quote

from flask import Response, request
from werkzeug.wsgi import FileWrapper

from ..files import service
from ..files.view import FileInfo

PIECE = 64 * 1024
#: For browsers that would show it after all: no scripts, no forms, an origin of its own, nothing from anywhere.
POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"


def download(file_id: str) -> Response:
    """Answer with the bytes of a file, or with the range of them that was asked for.

    Raises FileNotFound, FilesUnavailable.
    """
    found, stream = service.open_bytes(file_id)
    response = Response(FileWrapper(stream, PIECE), mimetype=found.type, direct_passthrough=True)
    response.headers["Content-Type"] = found.type  # and nothing of a character set, which nobody knows
    response.headers["Content-Disposition"] = _as_attachment(found.name)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Repr-Digest"] = f"sha-256=:{base64.b64encode(bytes.fromhex(found.sha256)).decode()}:"
    response.headers["Cache-Control"] = "private, no-cache"
    response.last_modified = found.created_at
    response.set_etag(found.sha256)
    response.content_length = found.size
    return _conditional(response, found)


def _conditional(response: Response, found: FileInfo) -> Response:
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=found.size)
    except BaseException:  # a range that the file does not have
        response.close()
        raise
    return response


def _as_attachment(name: str) -> str:
    """Write the name as RFC 6266 has it: for old readers in ASCII, for the others as it is."""
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("\\", "_").replace('"', "_")
    full = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{full}'
