"""What is committed and what a process believes may differ: each write is made once, and told once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from task_app.jobs import service, transitions
from task_app.jobs.database import transaction
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission

from ..inprocess import run_attempt


@contextmanager
def connection_lost_after(nth: int) -> Iterator[None]:
    """Let the connection be lost after the nth write to the job table was committed, before its answer came."""
    writes = 0

    def lose(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        nonlocal writes
        if statement.startswith("UPDATE job"):
            writes += 1
            if writes == nth:
                raise OperationalError(statement, {}, Exception("server closed the connection unexpectedly"))

    engine = runtime().engine
    event.listen(engine, "after_cursor_execute", lose)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", lose)
    assert writes >= nth


@pytest.mark.parametrize("nth", [1, 2], ids=["the claim", "the outcome"])
def test_a_write_that_was_committed_unseen_is_recognised(
    every_database: Flask, caplog: pytest.LogCaptureFixture, nth: int
) -> None:
    with every_database.app_context():
        job_id = service.submit(Submission(task="add", args="[1, 2]")).id
        with connection_lost_after(nth):
            job = run_attempt(every_database, job_id)
    assert (job.state, job.result, job.attempt, len(job.history)) == ("SUCCESS", 3, 1, 1)
    assert "waits for the database" in caplog.text
    assert "that attempt is over" not in caplog.text and "dropped a message" not in caplog.text


def test_postgresql_flushes_marks_later_and_claims_at_once(every_database: Flask) -> None:
    with every_database.app_context():
        engine = runtime().engine
        if engine.dialect.name != "postgresql":
            pytest.skip("only PostgreSQL lets a transaction choose")
        job_id = service.submit(Submission(task="add", args="[1, 2]")).id
        now = datetime.now(UTC)
        with transaction(engine) as connection:
            assert transitions.mark_published(connection, job_id, 1, now)
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "off"
        with transaction(engine) as connection:
            assert transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life-1", now=now)
            assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
