"""Queues: what waits in each, since when, and who listens; pausing and resuming them."""

from datetime import datetime, timedelta

from flask import flash, redirect, render_template, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from ..jobs import figures, service
from ..jobs.figures import Kind
from ..jobs.lists import COUNT_LIMIT
from ..jobs.runtime import utcnow
from ..web.access import visitor
from . import drawing
from .blueprint import blueprint
from .live import begin

SPARKLINE = timedelta(hours=1)


@blueprint.route("/queues")
def queues() -> str:
    """Show every queue that holds jobs or that a living worker listens to."""
    begin("queues")
    found, now = service.queue_views(), utcnow()
    return render_template(
        "dashboard/queues.html",
        queues=found,
        sparklines=_sparklines([queue.name for queue in found], now),
        count_limit=COUNT_LIMIT,
    )


def _sparklines(names: list[str], now: datetime) -> dict[str, Markup]:
    """Draw how many jobs of each queue ended, step by step."""
    found = figures.sparklines(Kind.QUEUE, names, start=now - SPARKLINE, end=now)
    return {
        name: _sparkline(name, [None if counts is None else counts.jobs for counts in steps])
        for name, steps in found.items()
    }


def _sparkline(name: str, jobs: list[int | None]) -> Markup:
    ended = sum(filter(None, jobs))
    return drawing.sparkline(jobs, label=f"{ended} jobs of queue {name} ended in the last hour")


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
