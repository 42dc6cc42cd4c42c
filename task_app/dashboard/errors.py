"""How errors look on pages. Programs that ask for a page get the same problem document as everywhere."""

from contextlib import suppress

from flask import Flask, Response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, Unauthorized
from werkzeug.http import HTTP_STATUS_CODES

from ..errors import TaskAppError
from ..web import problems
from ..web.access import prefers_html, visitor_if_any, way_in
from .blueprint import blueprint
from .csrf import CSRFError
from .frame import frame

TOO_OLD = "This form is too old, or was not made by this site. Go back, reload the page and try again."


def init_app(app: Flask) -> None:
    """Show pages also to those who ask for what doesn't exist; no blueprint knows such a path."""
    app.register_error_handler(NotFound, of_unknown_path)
    app.register_error_handler(MethodNotAllowed, of_unknown_path)


def of_http(error: HTTPException) -> ResponseReturnValue:
    """Render what Flask, Werkzeug or a view refused. Headers such as Retry-After are kept."""
    if not prefers_html() or error.response is not None:
        return problems.of_http(error)
    response = page(error.code or 500, TOO_OLD if isinstance(error, CSRFError) else error.description)
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    return response


def of_stranger(error: Unauthorized) -> ResponseReturnValue:
    """Show a person where to sign in."""
    return way_in() or of_http(error)


def of_unknown_path(error: HTTPException) -> ResponseReturnValue:
    """Render what was asked for where nothing is, or of the API, which never answers with a page."""
    return of_http(error) if request.blueprint in (None, blueprint.name) else problems.of_http(error)


def of_ours(error: TaskAppError) -> ResponseReturnValue:
    """Render an error of the kernel or the mirror."""
    return page(problems.status_of(error), str(error)) if prefers_html() else problems.of_ours(error)


def of_database(error: DBAPIError | PoolTimeout) -> ResponseReturnValue:
    """Say that the database can't be reached, when it is that."""
    document = problems.of_database(error)
    if not prefers_html():
        return document
    response = page(503, "The database can't be reached. Nothing is lost; try again in a moment.")
    response.headers["Retry-After"] = document.headers["Retry-After"]
    return response


def page(status: int, detail: str | None) -> Response:
    """Return the page of an error, with its frame: where no page of ours was asked for, Flask adds none."""
    with suppress(Unauthorized, DBAPIError, PoolTimeout):
        visitor_if_any()  # if that can't be said, the frame is a stranger's
    title = HTTP_STATUS_CODES.get(status, "Unknown Error")
    text = render_template("dashboard/error.html", **frame(), status=status, title=title, detail=detail)
    return Response(text, status)


blueprint.register_error_handler(Unauthorized, of_stranger)
blueprint.register_error_handler(HTTPException, of_http)
for _kind in problems.STATUS:
    blueprint.register_error_handler(_kind, of_ours)
blueprint.register_error_handler(DBAPIError, of_database)
blueprint.register_error_handler(PoolTimeout, of_database)
