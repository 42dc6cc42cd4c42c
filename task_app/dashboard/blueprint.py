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

    Werkzeug keeps the files in temporary ones, and the text in memory: of a field twice as much as a job may have, so
    that a text that is a bit too long comes back with a message and isn't lost.
    """
    if request.endpoint in WITH_FILES and request.mimetype == "multipart/form-data":
        request.max_content_length = current_app.config["MAX_CONTENT_LENGTH"] + files_runtime().size_limit
        if (usual := request.max_form_memory_size) is not None:
            request.max_form_memory_size = max(usual, 2 * current_app.config["JOB_ARGUMENTS_LIMIT"])


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
