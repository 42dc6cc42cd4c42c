"""The nightly chain in a real worker, with a web site and a mail server of the test."""

import json
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

pytest.importorskip("fpdf")
pytest.importorskip("matplotlib")
pytest.importorskip("polars")
pytest.importorskip("sklearn")

from task_app.files import service as files
from task_app.jobs import service
from task_app.jobs.filters import Filter
from task_app.jobs.view import JobView

from ..postbox import Postbox, mail_server
from ..website import Website, website
from .stack import Stack, running


@pytest.fixture(scope="module")
def mails() -> Postbox:
    return Postbox()


@pytest.fixture
def postbox(mails: Postbox) -> Postbox:
    mails.mails.clear()
    return mails


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, mails: Postbox) -> Iterator[Stack]:
    """A stack whose tasks may read from this machine, and have a mail server."""
    with mail_server(mails) as port:
        settings = {"CRAWL_PRIVATE": "1", "CRAWL_RATE": "1000", "SMTP_URL": f"smtp://127.0.0.1:{port}"}
        environment = {f"FLASK_{name}": value for name, value in settings.items()}
        with running(tmp_path_factory.mktemp("nightly"), "sqlite", "embedded", **environment) as stack:
            stack.start_worker()
            yield stack


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as site:
        site.pages = {
            "/": "<title>Home</title><a href='/more'>more</a>",
            "/more": "<title>More</title>",
            "/table.csv": "name,height\nada,1.7\nbob,1.8\n",
        }
        yield site


def ended(stack: Stack, **arguments: Any) -> JobView:
    return stack.until_ended(stack.task("nightly_report").delay(to="ada@example.com", **arguments).id)


def attached(mail: EmailMessage) -> dict[str, bytes]:
    return {str(part.get_filename()): part.get_payload(decode=True) for part in mail.iter_attachments()}  # type: ignore[misc]


def last(stack: Stack, task: str) -> JobView:
    with stack.app.app_context():
        return service.page(Filter(task=task), limit=1).jobs[0]


def test_the_jobs_are_analysed_reported_and_mailed(stack: Stack, postbox: Postbox) -> None:
    stack.until_ended(stack.task("add").delay(1, 2).id)
    job = ended(stack)
    assert job.state == "SUCCESS", job.error
    assert job.result["to"] == "ada@example.com"
    (mail,) = postbox.mails
    assert mail["Subject"].endswith(f"{job.result['jobs']} ended, {job.result['failed']} failed")
    found = attached(mail)
    assert set(found) == {"report.pdf", "analysis.json"}
    assert found["report.pdf"].startswith(b"%PDF-")
    assert {"task", "state", "ran"} <= {column["name"] for column in json.loads(found["analysis.json"])["columns"]}
    # Each step is a job, with what it has made.
    assert [made["name"] for made in last(stack, "jobs_table").artefacts] == ["jobs.csv"]


def test_run_again_it_sends_the_same_report_once_more(stack: Stack, postbox: Postbox) -> None:
    job = ended(stack)
    report = last(stack, "report_with_analysis").id
    with stack.app.app_context():
        service.retry(job.id)
    while (again := stack.until_ended(job.id)).attempt == job.attempt:
        pass
    assert (again.state, again.task) == ("SUCCESS", "mail_report")
    first, second = postbox.mails
    assert attached(first) == attached(second)
    assert first["Message-ID"] == second["Message-ID"]
    assert last(stack, "report_with_analysis").id == report


def test_a_site_is_crawled_and_analysed(stack: Stack, postbox: Postbox, site: Website) -> None:
    job = ended(stack, site=site.url(), format="html")
    assert job.state == "SUCCESS", job.error
    (mail,) = postbox.mails
    found = attached(mail)
    analysis = json.loads(found["analysis.json"])
    assert analysis["rows"] == 2
    assert [column["name"] for column in analysis["columns"]] == ["url", "status", "title", "links", "error"]
    assert "The table that was analysed" in found["report.html"].decode()


def test_a_table_is_read_from_a_url(stack: Stack, postbox: Postbox, site: Website) -> None:
    job = ended(stack, table=site.url("/table.csv"))
    assert job.state == "SUCCESS", job.error
    assert json.loads(attached(postbox.mails[0])["analysis.json"])["rows"] == 2


def test_a_step_that_fails_sends_no_mail_and_says_so(stack: Stack, postbox: Postbox, site: Website) -> None:
    site.pages["/table.csv"] = b"\x89PNG"
    job = ended(stack, table=site.url("/table.csv"))
    assert job.state in ("FAILURE", "REVOKED")
    failed = stack.until_ended(last(stack, "analyze_csv").id)
    assert failed.error is not None and failed.error["type"] == "UnusableInput"
    assert postbox.mails == []


def test_a_mail_server_that_is_busy_is_tried_again_with_the_same_report(stack: Stack, postbox: Postbox) -> None:
    postbox.answers_to_mail = ["451 try later"]
    postbox.offered.clear()
    job = ended(stack)
    assert job.state == "SUCCESS", job.error
    first, second = (attached(mail) for mail in postbox.offered)
    assert first == second
    assert len(postbox.mails) == 1


def test_a_report_that_is_lost_with_its_worker_leaves_one_file(stack: Stack) -> None:
    """A second attempt takes the place of what the first one has kept."""
    with stack.app.app_context():
        file = files.store(b"a,b\n" + b"1,2\n" * 100, "table.csv").id
    job_id = stack.task("analyze_csv").delay(file=file).id
    stack.until_ended(job_id)
    with stack.app.app_context():
        service.retry(job_id)
    job = stack.until_ended(job_id)
    while job.attempt < 2 or job.state != "SUCCESS":
        job = stack.until_ended(job_id)
    assert [made["name"] for made in job.artefacts] == ["analysis.json"]


def test_training_is_cancelled_within_a_step(stack: Stack) -> None:
    job_id = stack.task("train_model").delay(dataset="digits", steps=500).id
    stack.until_state(job_id, "PROGRESS")
    with stack.app.app_context():
        service.cancel(job_id)
    job = stack.until_ended(job_id)
    assert job.state == "REVOKED"
    assert job.artefacts == []
