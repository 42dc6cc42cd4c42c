"""What buttons do to one job. The service checks again whether the state allows it; the answer says what came of it."""

from collections.abc import Callable

from flask import flash, redirect, url_for
from werkzeug.wrappers import Response

from ..errors import IllegalMove
from ..jobs import service
from ..jobs.states import State
from ..keys.roles import Role
from ..web.access import needs
from .blueprint import blueprint


@blueprint.route("/jobs/<job_id>/cancel", methods=["POST"])
def cancel(job_id: str) -> Response:
    """Cancel a job."""

    def act() -> str:
        job = service.cancel(job_id)
        return "It is revoked." if job.state == State.REVOKED else "It was told to end."

    return _back_with(act, job_id)


@blueprint.route("/jobs/<job_id>/retry", methods=["POST"])
def retry(job_id: str) -> Response:
    """Run an ended job again."""
    return _back_with(lambda: f"Attempt {service.retry(job_id).attempt} is on its way.", job_id)


@blueprint.route("/jobs/<job_id>/resolve", methods=["POST"])
def resolve(job_id: str) -> Response:
    """Mark a failure as dealt with."""

    def act() -> str:
        service.resolve(job_id)
        return "It is resolved: it is no longer among the failures to look at."

    return _back_with(act, job_id)


@blueprint.route("/jobs/<job_id>/unresolve", methods=["POST"])
def unresolve(job_id: str) -> Response:
    """Take that back."""

    def act() -> str:
        service.resolve(job_id, resolved=False)
        return "It is among the failures to look at again."

    return _back_with(act, job_id)


@blueprint.route("/jobs/<job_id>/delete", methods=["POST"])
@needs(Role.ADMIN)
def delete(job_id: str) -> Response:
    """Remove an ended job for good."""
    try:
        service.delete(job_id)
    except IllegalMove as error:
        flash(f"Nothing was deleted: {error}.", "error")
        return redirect(url_for("dashboard.job", job_id=job_id), 303)
    flash("The job is deleted.", "success")
    return redirect(url_for("dashboard.jobs"), 303)


def _back_with(act: Callable[[], str], job_id: str) -> Response:
    try:
        flash(act(), "success")
    except IllegalMove as error:
        flash(f"Nothing has changed: {error}.", "error")
    return redirect(url_for("dashboard.job", job_id=job_id), 303)
