"""What stands beside a job: earlier runs of its task, and its family."""

from datetime import datetime

from flask import url_for
from markupsafe import Markup

from ..jobs import service
from ..jobs.view import JobView
from . import drawing
from .words import seconds_run


def earlier_runs(job: JobView, now: datetime) -> Markup:
    """Draw how long earlier runs of the same task took, and this one: is it unusual?"""
    before = reversed(service.earlier_runs(job).runs)
    runs = [drawing.Run(run.id, run.state, run.finished_at, run.seconds) for run in before]
    this = drawing.Run(job.id, job.state, job.created_at, seconds_run(job, now), is_open=job.finished_at is None)
    return drawing.past_runs([*runs, this], here=job.id, link=_link)


def _link(job_id: str) -> str:
    return url_for("dashboard.job", job_id=job_id)


def family(job: JobView) -> Markup | None:
    """Draw the family of a job; None where it has none."""
    return None
