"""Actions on many jobs."""

from .blueprint import blueprint


@blueprint.route("/jobs/actions", methods=["POST"])
def actions() -> str:
    """Act on the jobs that were chosen."""
    return ""
