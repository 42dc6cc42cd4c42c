"""News of jobs: one look for all who wait, each told of its own job, whoever came with the older view."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text

from task_app.jobs import service
from task_app.jobs.feed import Feed
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission
from task_app.jobs.view import JobView

PATIENCE = 20.0


@pytest.fixture
def feed(app: Flask) -> Iterator[Feed]:
    with app.app_context():
        yield Feed(runtime().engine)


def submitted() -> JobView:
    return service.submit(Submission(task="add", args="[1, 2]"))


def touch(job: JobView) -> None:
    with runtime().engine.connect() as connection:
        connection.execute(text("UPDATE job SET version = version + 1 WHERE id = :id"), {"id": job.id})


def test_a_look_is_one_statement_however_many_wait(feed: Feed) -> None:
    jobs = [submitted() for _ in range(40)]
    runtime().marks.write()
    jobs = [service.get(job.id) for job in jobs]
    statements: list[str] = []
    looked = threading.Event()

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if threading.current_thread().name == "job-feed":
            statements.append(statement)
            if len(statements) >= 3:
                looked.set()

    event.listen(runtime().engine, "before_cursor_execute", note)
    with ThreadPoolExecutor(80) as clients:
        news = [clients.submit(feed.change_of, job, PATIENCE) for job in jobs for _ in range(2)]
        assert looked.wait(PATIENCE)
        quiet = list(statements)
        for job in jobs:
            touch(job)
        changed = [answer.result() for answer in news]
    event.remove(runtime().engine, "before_cursor_execute", note)
    assert all(statement.startswith("SELECT job.id, job.version") for statement in quiet)
    assert [job.id for job in changed if job] == [job.id for job in jobs for _ in range(2)]
    assert all(new and new.version == old.version + 1 for new, old in zip(changed[::2], jobs, strict=True))
    whole = [statement for statement in statements if "job.args" in statement]
    assert len(whole) <= len(jobs), "each change is read once, not by each client"


def test_without_a_change_the_same_view_comes_back(feed: Feed) -> None:
    job = service.get(submitted().id)
    runtime().marks.write()
    job = service.get(job.id)
    assert feed.change_of(job, 0.2) is job


@pytest.mark.parametrize("older_first", [True, False])
def test_whoever_has_the_older_view_is_told(feed: Feed, older_first: bool) -> None:
    old = service.get(submitted().id)
    runtime().marks.write()
    touch(old)
    new = service.get(old.id)
    feed._runs = True  # no thread: this test looks itself
    for job in (old, new) if older_first else (new, old):
        feed._enter(job)
    feed._look({job_id: watched.version for job_id, watched in feed._watched.items()})
    told = feed.change_of(old, 0)
    assert told is not None and told.version == new.version
    assert feed.change_of(new, 0) is new


def test_a_deleted_job_is_told(feed: Feed) -> None:
    job = submitted()
    service.cancel(job.id)
    job = service.get(job.id)
    with ThreadPoolExecutor(1) as client:
        news = client.submit(feed.change_of, job, PATIENCE)
        service.delete(job.id)
        assert news.result() is None


def test_the_thread_ends_with_the_last_client(feed: Feed) -> None:
    job = service.get(submitted().id)
    feed.change_of(job, 0.05)
    for thread in threading.enumerate():
        if thread.name == "job-feed":
            thread.join(PATIENCE)
    assert "job-feed" not in [thread.name for thread in threading.enumerate()]
