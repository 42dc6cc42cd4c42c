"""What is committed and what a process believes may differ: each write is made once, and told once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError

from task_app.jobs import service, transitions
from task_app.jobs.database import transaction
from task_app.jobs.runtime import runtime
from task_app.jobs.states import State
from task_app.jobs.submission import Submission
from task_app.testing.attempts import run_attempt


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


def test_on_postgresql_only_acceptance_and_outcomes_wait_for_the_disk(every_database: Flask) -> None:
    with every_database.app_context():
        engine = runtime().engine
        if engine.dialect.name != "postgresql":
            pytest.skip("only PostgreSQL lets a transaction choose")
        job_id = service.submit(Submission(task="add", args="[1, 2]")).id
        now = datetime.now(UTC)
        moves: dict[str, Callable[[Connection], object]] = {
            "mark": lambda c: transitions.mark_published(c, [(job_id, 1)], now),
            "claim": lambda c: transitions.claim(c, job_id, 1, worker="w@h", worker_id="life-1", now=now),
            "report": lambda c: transitions.report(c, job_id, 1, state=State.PROGRESS, meta="1", claimed_at=now),
            "succeed": lambda c: transitions.succeed(c, job_id, 1, result="3", children=None, now=now),
        }
        waits = {}
        for name, move in moves.items():
            with transaction(engine) as connection:
                assert move(connection)
                waits[name] = connection.execute(text("SHOW synchronous_commit")).scalar()
        assert waits == {"mark": "off", "claim": "off", "report": "off", "succeed": "on"}
