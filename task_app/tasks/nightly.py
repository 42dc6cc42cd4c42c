"""A report every night: analyse, report, mail, as a chain whose steps hand files on.

`nightly_report` puts the chain in its own place, so its job ends when the mail is sent. Each step is a job: what fails
can be retried from there, and what came before isn't done twice.
"""

import csv
import io
import json
from datetime import datetime, timedelta
from email.headerregistry import Address
from typing import Annotated, Any, Literal

from celery import Task, chain, shared_task
from marshmallow.validate import Range

from ..errors import FilesUnavailable, UnusableInput
from ..files.service import open_file
from ..jobs.ended import ended
from ..jobs.filters import Filter
from ..jobs.runtime import utcnow
from ..mirror.artefacts import save_artefact
from ..mirror.progress import report_progress
from ..outbound import WebAddress
from . import mail
from .crawling import crawl
from .mail import EmailAddress
from .optional import need
from .tables import analyze_csv

need("fpdf", "jinja2", "matplotlib", "PIL")

NEWEST = "More jobs ended than could be looked at; the table that was analysed has the newest {:,}."
TRY_AGAIN = {"autoretry_for": (FilesUnavailable,), "retry_backoff": 2, "max_retries": 8}


@shared_task(bind=True)
def nightly_report(
    self: Task,
    to: EmailAddress,
    hours: Annotated[float, Range(1, 744), "How far back it looks."] = 24,
    site: Annotated[WebAddress | None, "A site to crawl; its pages are analysed."] = None,
    table: Annotated[WebAddress | None, "Where a CSV is that is analysed."] = None,
    format: Literal["pdf", "html"] = "pdf",  # noqa: A002 - plain word
) -> Any:
    """Analyse, report on the jobs of the last day, and send both by mail.

    What is analysed: the pages of a site, a table at a URL, or, if neither is given, the jobs themselves.
    """
    if site is not None and table is not None:
        raise UnusableInput("give a site or a table, not both")
    until = utcnow()
    period = {"since": (until - timedelta(hours=hours)).isoformat(), "until": until.isoformat()}
    if site is not None:
        first = [crawl.si(site, max_pages=50), pages_table.s(), analyze_csv.s()]
    elif table is not None:
        first = [analyze_csv.si(url=table)]
    else:
        first = [jobs_table.si(**period), analyze_csv.s()]
    report = report_with_analysis.s(format=format, of_jobs=site is None and table is None, **period)
    raise self.replace(chain(*first, report, mail_report.s(to)))


@shared_task(public=False, **TRY_AGAIN)
def jobs_table(since: str, until: str) -> str:
    """Write the newest jobs that ended in a period into a CSV, and return the file's id."""
    jobs, _ = ended(Filter(), datetime.fromisoformat(since), datetime.fromisoformat(until))
    rows = [
        (job.id, job.task, job.queue, job.state, job.error, job.finished_at.isoformat(), job.wait, job.run)
        for job in jobs
    ]
    return _table("jobs.csv", ("id", "task", "queue", "state", "error", "finished_at", "waited", "ran"), rows)


@shared_task(public=False, **TRY_AGAIN)
def pages_table(crawled: dict[str, Any]) -> str:
    """Write what a crawl has found into a CSV, and return the file's id."""
    rows = [
        (page["url"], page["status"], page["title"], page["link_count"], page["error"]) for page in crawled["pages"]
    ]
    return _table("pages.csv", ("url", "status", "title", "links", "error"), rows)


def _table(name: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return save_artefact(name, text.getvalue().encode(), "text/csv")


@shared_task(public=False, **TRY_AGAIN)
def report_with_analysis(
    analysed: dict[str, Any],
    since: str,
    until: str,
    format: str,  # noqa: A002
    of_jobs: bool = False,
) -> dict[str, Any]:
    """Report on the jobs of a period, with what was analysed; return the report's file and what a mail says of it.

    `of_jobs` says that what was analysed is the period's `jobs_table`.
    """
    from ..gallery.reports.figures import collect  # noqa: PLC0415 - see `need`
    from ..gallery.reports.html import as_html  # noqa: PLC0415
    from ..gallery.reports.pdf import as_pdf  # noqa: PLC0415

    period = datetime.fromisoformat(since), datetime.fromisoformat(until)
    with open_file(analysed["file"]) as stream:
        analysis = json.load(stream)
    report = collect(Filter(), *period, "Nightly report", report_progress, analysis)
    # Looked at anew: what `analyze_csv` hands on says nothing of jobs that are not in its table.
    note = None if not of_jobs or ended(Filter(), *period)[1] else NEWEST.format(analysis["rows"])
    report.notes.extend([note] if note else ())
    report_progress(3, 4, "pages")
    content, media_type = (as_pdf(report), "application/pdf") if format == "pdf" else (as_html(report), "text/html")
    report_progress(4, 4)
    return {
        "file": save_artefact(f"report.{format}", content, media_type),
        "analysis": analysed["file"],
        "jobs": report.total.jobs,
        "failed": report.total.failed,
        "day": f"{report.end:%Y-%m-%d}",
        "note": note,
    }


@shared_task(bind=True, public=False, **mail.TRY_AGAIN)
def mail_report(self: Task, report: dict[str, Any], to: str) -> dict[str, Any]:
    """Send a report by mail."""
    subject = f"Jobs of {report['day']}: {report['jobs']} ended, {report['failed']} failed"
    said = [f"{report['jobs']} jobs have ended, {report['failed']} of them failed.", report.get("note")]
    body = "\n\n".join([*filter(None, said), "The report is attached.\n"])
    mail.send(self, Address(addr_spec=to), subject, body, attachments=[report["file"], report["analysis"]])
    return {**report, "to": to}
