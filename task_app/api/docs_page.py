"""The page /docs, which shows the OpenAPI document, and its assets: Swagger UI's, from a package."""

from pathlib import Path

import flask_swagger_ui
from flask import Blueprint, Response, render_template, send_from_directory
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Unauthorized

from ..web import problems
from ..web.access import guard, way_in
from ..web.headers import allow_inline_styles

ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"

blueprint = Blueprint("docs", __name__, url_prefix="/docs", template_folder="templates")
guard(blueprint)


@blueprint.errorhandler(Unauthorized)
def stranger(error: Unauthorized) -> ResponseReturnValue:
    """Send people to where they can say who they are."""
    return way_in() or problems.of_http(error)


@blueprint.route("/")
def page() -> str:
    """Show what can be asked for, to read and to try."""
    allow_inline_styles()  # Swagger UI sets some by itself
    return render_template("api/docs.html")


@blueprint.route("/<path:file>")
def asset(file: str) -> Response:
    """Serve a file of Swagger UI."""
    return send_from_directory(ASSETS, file)
