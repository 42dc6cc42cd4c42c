"""How errors look: RFC 9457 problem documents (`application/problem+json`).

`errors` holds messages by field, nested like the body: `{"kwargs": {"a": ["Not a valid integer."]}}`. What went wrong
inside is logged and never shown.
"""

import json
import logging
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, request
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, UnprocessableEntity
from werkzeug.http import HTTP_STATUS_CODES

from ..errors import (
    FileInUse,
    FileNotFound,
    FilesUnavailable,
    FileTooLarge,
    FileTypeRefused,
    IllegalMove,
    InvalidKeyName,
    JobExists,
    JobNotFound,
    KeyExists,
    KeyNotFound,
    TaskAppError,
    ValueNotStorable,
)
from ..mirror.arguments import ArgumentErrors
from ..mirror.public import UnknownTask

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 2  # seconds

#: The errors that a client can cause, and as what they are shown.
STATUS: dict[type[TaskAppError], int] = {
    JobNotFound: 404,
    UnknownTask: 404,
    KeyNotFound: 404,
    FileNotFound: 404,
    FileInUse: 409,
    FileTooLarge: 413,
    FileTypeRefused: 415,
    FilesUnavailable: 503,
    KeyExists: 409,
    JobExists: 409,
    IllegalMove: 409,
    ValueNotStorable: 422,
    ArgumentErrors: 422,
    InvalidKeyName: 422,
}


class FieldErrors(UnprocessableEntity):
    """The request was understood, and some of its fields are wrong."""

    def __init__(self, errors: Any, detail: str = "Some fields are wrong; see errors.") -> None:
        super().__init__(detail)
        self.errors = errors


def problem(status: int, detail: str | None = None, **members: Any) -> Response:
    """Return a problem document; `members` are added to it."""
    document = {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES.get(status, "Unknown Error"),
        "status": status,
        "detail": detail,
        "instance": quote(request.path),
        **members,
    }
    body = json.dumps({key: value for key, value in document.items() if value is not None})
    return Response(body, status=status, mimetype=MEDIA_TYPE)


def init_app(app: Flask) -> None:
    """Render every error of the app as a problem document, unless a blueprint renders its own."""
    app.register_error_handler(HTTPException, of_http)
    for error in STATUS:
        app.register_error_handler(error, of_ours)
    app.register_error_handler(DBAPIError, of_database)
    app.register_error_handler(PoolTimeout, of_database)


def of_http(error: HTTPException) -> Response:
    """Render what Flask, Werkzeug or a view refused. Headers such as Allow are kept."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    errors = getattr(error, "errors", None)
    members = {} if errors is None else {"errors": errors}
    response = problem(error.code or 500, error.description, **members)
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    return response


def of_ours(error: TaskAppError) -> Response:
    """Render an error of the kernel or the mirror."""
    members = {"errors": error.errors} if isinstance(error, ArgumentErrors) else {}
    response = problem(status_of(error), str(error), **members)
    if response.status_code == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def status_of(error: TaskAppError) -> int:
    """Return as what an error of ours is shown."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def of_database(error: DBAPIError | PoolTimeout) -> Response:
    """Say that the database can't be reached, when it is that; anything else it complains about is our fault."""
    if not isinstance(error, OperationalError | InterfaceError | PoolTimeout) and not error.connection_invalidated:
        raise error
    logger.warning("the database didn't answer %s %s: %s", request.method, request.path, error)
    response = problem(503, "The database can't be reached. Try again.")
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response
