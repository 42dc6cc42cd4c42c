"""The tasks to copy, in real workers, which somebody interrupts."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from task_app.jobs import service
from task_app.jobs.family import Node, family
from task_app.jobs.runtime import runtime

from ..postbox import Postbox, mail_server
from ..website import Website, website
from .stack import Stack, running, until


@pytest.fixture(scope="module")
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, postbox: Postbox) -> Iterator[Stack]:
    """A stack whose tasks may read from this machine, and have a mail server."""
    with mail_server(postbox) as port:
        settings = {"CRAWL_PRIVATE": "1", "CRAWL_RATE": "0.02", "SMTP_URL": f"smtp://127.0.0.1:{port}"}
        environment = {f"FLASK_{name}": value for name, value in settings.items()}
        with running(tmp_path_factory.mktemp("gallery"), "sqlite", "embedded", **environment) as stack:
            stack.start_worker()
            yield stack


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as site:
        yield site


def cancel(stack: Stack, job_id: str) -> None:
    with stack.app.app_context():
        service.cancel(job_id)


def test_a_crawl_that_waits_for_its_turn_is_cancelled_at_once(stack: Stack, site: Website) -> None:
    site.pages["/"] = "never read"
    job_id = stack.task("crawl").delay(site.url()).id
    until(lambda: site.asked, "the look at robots.txt")  # the next turn is in 50 s
    cancel(stack, job_id)
    job = stack.until_ended(job_id)
    assert job.state == "REVOKED"
    assert job.cancel_requested_at is not None and job.finished_at is not None
    assert (job.finished_at - job.cancel_requested_at).total_seconds() < 1
    assert site.asked == ["/robots.txt"]


def test_a_crawl_that_hangs_in_a_page_is_ended(stack: Stack, site: Website) -> None:
    def hang(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        site.is_over.wait(60)

    site.pages["/robots.txt"] = hang
    job_id = stack.task("crawl").delay(site.url()).id
    until(lambda: site.asked, "the look at robots.txt")
    cancel(stack, job_id)
    assert stack.until_ended(job_id).state == "REVOKED"
    assert stack.until_ended(stack.task("add").delay(1, 2).id).result == 3


def test_a_mail_that_hangs_in_the_middle_is_cancelled(stack: Stack, postbox: Postbox) -> None:
    postbox.stalls_before_mail = 1
    job_id = stack.task("send_email").delay("ada@example.com", "Hello", "never").id
    assert postbox.stalled.wait(60)
    cancel(stack, job_id)
    assert stack.until_ended(job_id).state == "REVOKED"
    other = stack.task("send_email").delay("ada@example.com", "Hello", "body").id
    assert stack.until_ended(other).state == "SUCCESS"
    assert [mail["Message-ID"] for mail in postbox.mails] == [f"<{other}@localhost>"]


# -- batches -----------------------------------------------------------------------------------------------------


def chunks_of(stack: Stack, job_id: str) -> list[Node]:
    with stack.app.app_context(), runtime().engine.connect() as connection:
        found = family(connection, job_id)
    assert found is not None
    return [node for node in found.nodes if node.id != job_id]


def test_a_batch_shows_its_chunks_and_ends_with_their_results(stack: Stack) -> None:
    job_id = stack.task("process_batch").delay(list(range(1, 11)), 2, 0.2).id

    def has_some() -> bool:
        done = stack.job(job_id).progress
        return done["total"] == 5 and done["current"] in range(1, 5)

    until(has_some, "some of the chunks to end")
    job = stack.until_ended(job_id)
    assert (job.state, job.result) == ("SUCCESS", {"count": 10, "total": 55.0, "least": 1.0, "greatest": 10.0})
    assert (job.progress["current"], job.progress["total"]) == (5, 5)
    assert [(node.task, node.state) for node in chunks_of(stack, job_id)] == [("process_chunk", "SUCCESS")] * 5


def test_a_failing_chunk_fails_the_batch(stack: Stack) -> None:
    job_id = stack.task("process_batch").delay([1, "two", 3], 1).id
    job = stack.until_ended(job_id)
    (bad,) = (node.id for node in chunks_of(stack, job_id) if node.state == "FAILURE")
    assert job.state == "FAILURE"
    assert job.error is not None and f"Dependency {bad} raised TypeError" in job.error["message"]


def test_a_batch_is_cancelled_in_the_middle(stack: Stack) -> None:
    job_id = stack.task("process_batch").delay([1] * 6, 1, 60).id
    until(lambda: sum(node.started_at is not None for node in chunks_of(stack, job_id)) == 2, "two chunks to begin")
    cancel(stack, job_id)
    assert stack.job(job_id).state == "REVOKED"
    running = [node for node in chunks_of(stack, job_id) if node.finished_at is None]
    assert len(running) == 2
    for node in running:  # these have begun; each can be cancelled as any other job
        cancel(stack, node.id)
        stack.until_ended(node.id)
    assert {node.state for node in chunks_of(stack, job_id)} == {"REVOKED"}
