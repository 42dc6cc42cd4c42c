"""Reading JSON bodies: strictly, so that whatever gets past here can be stored."""

from typing import Any

from flask import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from ..mirror.storable import TOO_DEEP, faults
from ..web import strict_json
from ..web.problems import FieldErrors


def json_body(*, optional: bool = False) -> Any:
    """Return the JSON of the request; with `optional`, an empty body is an empty object.

    Raises 413, 415 for another content type, 400 for what isn't JSON, 422 for text that no database can keep.
    """
    raw = raw_body()
    if optional and not raw:
        return {}
    if not request.is_json:
        raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
    value = _parse(raw)
    errors: dict[str, Any] = {}
    for path, message in faults(value):
        if message == TOO_DEEP:
            raise BadRequest(message)
        _put(errors, path, message)
    if errors:
        raise FieldErrors(errors)
    return value


def raw_body() -> bytes:
    """Return the bytes of the body. Raises 413.

    Whoever reads a form calls this first: of a body that comes in chunks, without a length, Werkzeug reads as much
    as is allowed and says nothing about the rest.
    """
    limit = request.max_content_length
    if limit is not None and request.content_length is None:
        request.max_content_length = limit + 1
        if len(request.get_data()) > limit:
            raise RequestEntityTooLarge
    return request.get_data()


def _parse(raw: bytes) -> Any:
    try:
        return strict_json.parse(raw.decode())
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None
    except ValueError as error:
        raise BadRequest(f"The body is not valid JSON: {error}") from None


def _put(errors: dict[str, Any], path: tuple[str | int, ...], message: str) -> None:
    """Put a message into nested errors. The path may lead through a place that has messages of its own already."""
    *way, last = [str(step) for step in path] or ["body"]
    for step in way:
        inner = errors.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        errors = inner
    errors.setdefault(last, [message])
