"""The first page."""

from flask import render_template

from .blueprint import blueprint


@blueprint.route("/")
def overview() -> str:
    """Show how the service is doing."""
    return render_template("dashboard/overview.html")
