"""A task that reports on the service's own jobs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from celery import shared_task
from marshmallow.validate import Length

from ..errors import FilesUnavailable
from ..jobs.filters import Filter
from ..mirror.artefacts import save_artefact
from ..mirror.progress import report_progress
from .optional import need

need("fpdf", "jinja2", "matplotlib", "PIL")

Name = Annotated[str | None, Length(1, 255)]
Moment = datetime | None


@shared_task(autoretry_for=(FilesUnavailable,), retry_backoff=2, max_retries=8)
def make_report(
    format: Literal["pdf", "html"] = "pdf",  # noqa: A002 - plain word
    since: Annotated[Moment, "A day before the end if not given."] = None,
    until: Annotated[Moment, "Now if not given."] = None,
    task: Name = None,
    queue: Name = None,
    status: Literal["SUCCESS", "FAILURE", "REVOKED"] | None = None,
    tag: Name = None,
    worker: Name = None,
    error: Name = None,
    title: Annotated[str, Length(1, 200)] = "Background jobs",
) -> dict[str, Any]:
    """Report on the jobs that ended in a period, as PDF or HTML.

    The artefact has key numbers, charts, tasks and failures. All jobs, or those that fit the filters, which are the
    ones of the API. Figures of all jobs, of a task or of a queue come from rollups and are some ten seconds old.
    """
    from ..gallery.reports.figures import collect  # noqa: PLC0415 - see `need`
    from ..gallery.reports.html import as_html  # noqa: PLC0415
    from ..gallery.reports.pdf import as_pdf  # noqa: PLC0415

    wanted = Filter(task=task, queue=queue, status=status, tag=tag, worker=worker, error=error)
    report = collect(wanted, since, until, title, report_progress)
    report_progress(3, 4, "pages")
    written, media_type = (as_pdf(report), "application/pdf") if format == "pdf" else (as_html(report), "text/html")
    report_progress(4, 4)
    return {
        "file": save_artefact(f"report.{format}", written, media_type),
        "from": report.start.isoformat(),
        "to": report.end.isoformat(),
        "jobs": report.total.jobs,
        "succeeded": report.total.succeeded,
        "failed": report.total.failed,
        "revoked": report.total.revoked,
    }
