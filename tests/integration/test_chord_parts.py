"""When are all parts of a chord's header done? Asked while its last part is being submitted."""

from datetime import UTC, datetime
from typing import Any

from flask import Flask
from sqlalchemy import event

from task_app.jobs import queries, transitions
from task_app.jobs.runtime import runtime
from task_app.jobs.states import State

from ..factories import insert_job

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
