"""Queues: what waits in each, since when, and who listens; pausing and resuming them."""

from datetime import timedelta

from flask import flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from ..jobs import service
from ..jobs.lists import COUNT_LIMIT
from ..jobs.runtime import utcnow
from ..web.access import visitor
from .blueprint import blueprint
from .live import begin

SPARKLINE = timedelta(hours=1)


@blueprint.route("/queues")
def queues() -> str:
    """Show every queue that holds jobs or that a living worker listens to."""
    begin("queues")
    return render_template(
        "dashboard/queues.html",
        queues=service.queue_views(),
        sparklines=sparklines(),
        count_limit=COUNT_LIMIT,
    )


@blueprint.route("/queues/<path:name>/pause", methods=["POST"])
def pause_queue(name: str) -> Response:
    """Let workers take nothing from a queue."""
    service.pause_queue(name, by=visitor().name)
    flash(f"Queue {name} is paused: running jobs go on, waiting ones are kept safe.", "success")
    return redirect(url_for("dashboard.queues"), 303)


@blueprint.route("/queues/<path:name>/resume", methods=["POST"])
def resume_queue(name: str) -> Response:
    """Let workers take from a queue again."""
    service.resume_queue(name)
    flash(f"Queue {name} goes on.", "success")
    return redirect(url_for("dashboard.queues"), 303)
