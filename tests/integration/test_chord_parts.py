"""When are all parts of a chord's header done? Asked while its last part is being submitted."""

from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from celery import Celery, chord
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from task_app.jobs import queries, service, transitions
from task_app.jobs.runtime import runtime
from task_app.jobs.states import State

from ..factories import insert_job
from .test_api_read import start, succeed

CHORD = "chord-1"


def test_a_part_that_comes_while_parts_are_counted_is_waited_for(every_database: Flask) -> None:
    with every_database.app_context():
        engine = runtime().engine
        with engine.connect() as connection:
            for _ in range(3):
                end(connection, insert_job(connection, group_id=CHORD))
        last_part = iter([1])

        def submit_the_last(*about: Any) -> None:
            for _ in last_part:
                with engine.connect() as another:
                    insert_job(another, group_id=CHORD)

        event.listen(engine, "after_cursor_execute", submit_the_last)
        try:
            with engine.connect() as connection:
                assert not queries.group_is_complete(connection, CHORD, 4)
        finally:
            event.remove(engine, "after_cursor_execute", submit_the_last)
        assert next(last_part, "submitted") == "submitted"


def end(connection: Any, job_id: str) -> None:
    assert transitions.end_badly(
        connection, job_id, None, state=State.FAILURE, error={"type": "ValueError"}, now=datetime.now(UTC)
    )


@pytest.mark.parametrize("nth", range(1, 9))
def test_a_database_that_goes_away_does_not_fail_a_chord(every_database: Flask, nth: int) -> None:
    celery: Celery = every_database.extensions["celery"]
    add = celery.tasks["add"]
    body = chord([add.s(1, 1), add.s(2, 2)], add.s(3)).delay()
    with every_database.app_context():
        engine, statements = runtime().engine, count()
        with engine.connect() as connection:
            # As if each part had died before it came to the chord.
            for part, result in zip(body.parent.results, "24", strict=True):
                start(connection, part.id)
                succeed(connection, part.id, result)

        def lose(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
            if next(statements) == nth:
                raise OperationalError(statement, {}, Exception("server closed the connection unexpectedly"))

        event.listen(engine, "before_cursor_execute", lose)
        with suppress(OperationalError):
            celery.backend.join_left_over()
        event.remove(engine, "before_cursor_execute", lose)
        celery.backend.join_left_over()
        sent = service.get(body.id)
    assert (sent.state, sent.args) == ("PENDING", [[2, 4], 3])
    assert sent.blocked_by is None
