"""The blueprint `dashboard`."""

from flask import Blueprint, request
from werkzeug.exceptions import BadRequest

from ..web.access import guard
from ..web.ids import refuse_impossible_ids
from .csrf import refuse_foreign_forms

#: Its files are under /assets, so that no page of the app can stand in their way.
blueprint = Blueprint(
    "dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"
)
guard(blueprint, open_to_all=("static", "sign_in"))
blueprint.before_request(refuse_foreign_forms)
blueprint.before_request(refuse_impossible_ids)


@blueprint.before_request
def refuse_unreadable_queries() -> None:
    """Answer 400 for a query of any bytes, before a page reads it."""
    try:
        request.args  # noqa: B018 - reading raises
    except UnicodeDecodeError:
        raise BadRequest("The query is not UTF-8.") from None
