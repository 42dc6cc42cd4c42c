"""The blueprint `dashboard`."""

from flask import Blueprint, current_app, request
from werkzeug.exceptions import BadRequest

from ..files.runtime import files_runtime
from ..web.access import guard
from ..web.ids import refuse_impossible_ids
from .csrf import refuse_foreign_forms

#: Endpoints whose forms may bring files.
WITH_FILES = ("dashboard.submit", "dashboard.retry_edited")


def let_files_in() -> None:
    """Allow a larger body where a form may bring files; comes after the guard, and before anything reads the form.

    Werkzeug keeps what is large of it in a temporary file.
    """
    if request.endpoint in WITH_FILES and request.mimetype == "multipart/form-data":
        request.max_content_length = current_app.config["MAX_CONTENT_LENGTH"] + files_runtime().size_limit


#: Its files are under /assets, so that no page of the app can stand in their way.
blueprint = Blueprint(
    "dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"
)
guard(blueprint, open_to_all=("static", "sign_in"))
blueprint.before_request(let_files_in)
blueprint.before_request(refuse_foreign_forms)
blueprint.before_request(refuse_impossible_ids)


@blueprint.before_request
def refuse_unreadable_queries() -> None:
    """Answer 400 for a query of any bytes, before a page reads it."""
    try:
        request.args  # noqa: B018 - reading raises
    except UnicodeDecodeError:
        raise BadRequest("The query is not UTF-8.") from None
