"""The blueprint `dashboard`."""

from flask import Blueprint

#: Its files are under /assets, so that no page of the app can stand in their way.
blueprint = Blueprint(
    "dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"
)
