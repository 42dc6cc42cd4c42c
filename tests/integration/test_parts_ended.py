"""The progress of a job that waits for the parts of a chord: how many of them have ended."""

from typing import Any

import pytest
from celery import Celery, chord
from celery.app.task import Context
from flask import Flask
from sqlalchemy import event, exc

from task_app.jobs import queries, service, transitions
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.states import State
from task_app.mirror.parts import PartsEnded

from ..inprocess import run_attempt


def celery_of(app: Flask) -> Celery:
    celery: Celery = app.extensions["celery"]
    return celery


def send_chord(app: Flask, parts: int) -> tuple[str, list[str]]:
    """Return the id of a chord's body and those of its parts."""
    tasks = celery_of(app).tasks
    sent = chord([tasks["process"].s(number, 0) for number in range(parts)], tasks["merge_chunks"].s()).delay()
    return sent.id, [part.id for part in sent.parent.results]


def end(app: Flask, job_id: str) -> None:
    """Run a part, and let the chord know as a worker does."""
    job = run_attempt(app, job_id)
    with app.app_context():
        request = Context(id=job_id, group=job.group_id, chord=job.message["chord"])
        celery_of(app).backend.on_chord_part_return(request, job.state, job.result)


def progress(app: Flask, job_id: str) -> tuple[Any, Any]:
    with app.app_context():
        found = service.get(job_id).progress
    return found["current"], found["total"]


def test_the_body_of_a_chord_shows_how_many_parts_have_ended(every_database: Flask) -> None:
    app = every_database
    body, parts = send_chord(app, 3)
    seen = [progress(app, body)]
    for part in parts:
        end(app, part)
        seen.append(progress(app, body))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    with app.app_context():
        assert service.get(body).blocked_by is None


def test_every_change_is_a_version_that_watchers_see(every_database: Flask) -> None:
    body, parts = send_chord(every_database, 3)
    with every_database.app_context():
        before = service.get(body).version
        end(every_database, parts[0])
        assert service.get(body).version > before


def test_of_two_parts_that_end_together_the_older_count_does_not_win(every_database: Flask) -> None:
    app = every_database
    body, parts = send_chord(app, 3)
    run_attempt(app, parts[0])
    run_attempt(app, parts[1])
    late = iter([parts[2]])

    def end_the_other(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if "count" in statement and "version" in statement:
            for part in late:  # after this one has counted, and before it writes
                end(app, part)

    with app.app_context():
        job, engine = service.get(parts[0]), runtime().engine
        celery_of(app).backend.set_chord_size(job.group_id, 4)  # so that it is not joined yet
        event.listen(engine, "after_cursor_execute", end_the_other)
        try:
            with engine.connect() as connection:
                PartsEnded(0).show(connection, str(job.group_id), 4, job.message["chord"])
        finally:
            event.remove(engine, "after_cursor_execute", end_the_other)
    assert next(late, "ended") == "ended"
    assert progress(app, body) == (3, 4)


def test_large_chords_are_counted_now_and_then(every_database: Flask) -> None:
    app = every_database
    body, parts = send_chord(app, 3)
    shown = PartsEnded(interval=3600)
    with app.app_context(), runtime().engine.connect() as connection:
        job = service.get(parts[0])
        group, chord_of = str(job.group_id), job.message["chord"]
        run_attempt(app, parts[0])
        shown.show(connection, group, 21, chord_of)
        assert progress(app, body) == (1, 21)
        run_attempt(app, parts[1])
        shown.show(connection, group, 21, chord_of)
        assert progress(app, body) == (1, 21)
        shown.show(connection, group, 21, chord_of, at_once=True)
        assert progress(app, body) == (2, 21)


def test_a_body_that_does_not_wait_is_left_alone(every_database: Flask) -> None:
    app = every_database
    body, parts = send_chord(app, 2)
    with app.app_context():
        job = service.get(parts[0])
        service.cancel(body)
        before = service.get(body)
        with runtime().engine.connect() as connection:
            assert queries.parts_ended(connection, body, str(job.group_id)) is None
            assert not transitions.report_parts(connection, body, before.version, "{}")
        assert service.get(body).version == before.version


def test_the_error_of_a_chord_names_the_part_that_failed(every_database: Flask) -> None:
    app = every_database
    tasks = celery_of(app).tasks
    sent = chord([tasks["add"].s(1, 1), tasks["add"].s(1, "one")], tasks["merge_chunks"].s()).delay()
    good, bad = (part.id for part in sent.parent.results)
    end(app, bad)
    end(app, good)
    with app.app_context():
        job = service.get(sent.id)
    assert job.state == "FAILURE" and job.error is not None
    assert job.error["message"].startswith(f"Dependency {bad} raised TypeError(")


def test_a_part_whose_own_database_is_busy_fails_its_chord(every_database: Flask) -> None:
    # It must not be taken for ours: nobody would ever join the chord.
    app = every_database
    body, parts = send_chord(app, 1)
    with app.app_context():
        error = celery_of(app).backend.fault_of(exc.TimeoutError("QueuePool limit reached"))
        with runtime().engine.connect() as connection:
            assert transitions.end_badly(connection, parts[0], None, state=State.FAILURE, error=error, now=utcnow())
        celery_of(app).backend.join_left_over()
        assert service.get(body).state == "FAILURE"


@pytest.mark.parametrize("parts", [0, 1])
def test_the_page_of_a_waiting_job_has_a_bar(app: Flask, parts: int) -> None:
    body, ids = send_chord(app, 2)
    for part in ids[:parts]:
        end(app, part)
    client = app.test_client()
    page = client.get(f"/jobs/{body}").text
    assert f"{parts} of 2" in page and 'id="progress-bar"' in page
    assert f"{50 * parts} %" in client.get("/jobs").text
