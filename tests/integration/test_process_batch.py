"""`process_batch`: chunks side by side, one job that shows them all and ends with what they found."""

import json
from typing import Any

import pytest
from celery.app.task import Context
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from task_app.jobs import service
from task_app.jobs.models import Job
from task_app.jobs.runtime import runtime
from task_app.jobs.view import JobView
from task_app.tasks.batches import CHUNKS, merge, process_batch, split

from ..inprocess import run_attempt

_c = Job.__table__.c


def view(app: Flask, job_id: str) -> JobView:
    with app.app_context():
        return service.get(job_id)


def chunks_of(app: Flask, job_id: str) -> list[str]:
    """Return the chunks that a batch has sent and that nobody has worked on, in their order."""
    statement = select(_c.id).where(_c.parent_id == job_id, _c.task == "process_chunk", _c.finished_at.is_(None))
    with app.app_context(), runtime().engine.connect() as connection:
        return list(connection.execute(statement.order_by(_c.created_at, _c.id)).scalars())


def begin(app: Flask, items: list[Any], chunk_size: int) -> tuple[str, list[str]]:
    """Let a batch send its chunks; return its id and theirs."""
    job_id = process_batch.delay(items, chunk_size).id
    run_attempt(app, job_id)
    return job_id, chunks_of(app, job_id)


def end(app: Flask, chunk: str) -> None:
    """Work on a chunk, and let the batch know as a worker does."""
    job = run_attempt(app, chunk)
    request = Context(id=chunk, group=job.group_id, chord=job.message["chord"])
    app.extensions["celery"].backend.on_chord_part_return(request, job.state, job.result)


def test_a_batch_ends_with_what_its_chunks_found(app: Flask) -> None:
    job_id, chunks = begin(app, [5, 1, 4, 2, 3], 2)
    assert [view(app, chunk).args[0] for chunk in chunks] == [[5, 1], [4, 2], [3]]
    seen = []
    for chunk in chunks:
        seen.append(view(app, job_id).progress["current"])
        end(app, chunk)
    assert seen == [0, 1, 2]
    job = run_attempt(app, job_id)
    assert job.state == "SUCCESS"
    assert job.result == {"count": 5, "total": 15, "least": 1, "greatest": 5}
    assert (job.progress["current"], job.progress["total"], job.progress["percent"]) == (3, 3, 100)
    assert [attempt["state"] for attempt in job.history] == ["REPLACED", "SUCCESS"]


def test_an_empty_batch_is_done_at_once(app: Flask) -> None:
    job_id, chunks = begin(app, [], 10)
    job = view(app, job_id)
    assert (job.state, chunks) == ("SUCCESS", [])
    assert job.result == {"count": 0, "total": 0, "least": None, "greatest": None}


def test_a_failing_chunk_fails_the_batch_and_is_named(app: Flask) -> None:
    job_id, chunks = begin(app, [1, 2, "three", 4], 2)  # Python callers may send anything
    end(app, chunks[1])
    assert view(app, job_id).state == "PENDING"  # the other one may still be at work
    end(app, chunks[0])
    job = view(app, job_id)
    assert (job.state, job.task) == ("FAILURE", "process_batch")
    assert job.error is not None and f"Dependency {chunks[1]} raised TypeError" in job.error["message"]


def test_a_failed_batch_can_be_run_again_with_better_items(app: Flask) -> None:
    job_id, chunks = begin(app, ["one"], 1)
    end(app, chunks[0])
    with app.app_context():
        service.retry(job_id, args=json.dumps([[1.0], 1]))
    run_attempt(app, job_id)
    for chunk in chunks_of(app, job_id):
        end(app, chunk)
    assert run_attempt(app, job_id).result["total"] == 1


def test_a_cancel_takes_along_the_chunks_that_have_not_begun(app: Flask) -> None:
    job_id, chunks = begin(app, [1, 2, 3], 1)
    end(app, chunks[0])
    with app.app_context():
        assert service.cancel(job_id).state == "REVOKED"
    assert [view(app, chunk).state for chunk in chunks] == ["SUCCESS", "REVOKED", "REVOKED"]
    assert view(app, job_id).state == "REVOKED"


def test_a_batch_that_is_started_again_ends_once(app: Flask) -> None:
    # Its worker died after the chunks were sent and before that was noted: the alarm rings, and the task runs again.
    job_id, first = begin(app, [1, 2], 1)
    with app.app_context(), runtime().engine.connect() as connection:
        connection.execute(update(Job).where(_c.id == job_id).values(blocked_by=None))
    run_attempt(app, job_id)
    second = [chunk for chunk in chunks_of(app, job_id) if chunk not in first]
    for chunk in first + second:
        end(app, chunk)
    job = run_attempt(app, job_id)
    assert (job.state, job.result["count"]) == ("SUCCESS", 2)


@pytest.mark.parametrize(
    ("number", "size", "chunks", "largest"),
    [(0, 10, 0, 0), (1, 10, 1, 1), (10, 10, 1, 10), (11, 10, 2, 10), (10_000, 1, CHUNKS, 20), (10_000, 1000, 10, 1000)],
)
def test_items_are_split_into_not_too_many_chunks(number: int, size: int, chunks: int, largest: int) -> None:
    found = split(range(number), size)
    assert (len(found), max(map(len, found), default=0)) == (chunks, largest)
    assert [item for chunk in found for item in chunk] == list(range(number))


def test_summaries_of_nothing_add_nothing() -> None:
    nothing = merge([])
    assert merge([nothing, nothing]) == nothing
    some = merge([nothing, {"count": 1, "total": 2.0, "least": 2.0, "greatest": 2.0}])
    assert some == {"count": 1, "total": 2.0, "least": 2.0, "greatest": 2.0}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "items"),
        ({"items": 5}, "items"),
        ({"items": ["1"]}, "items"),
        ({"items": [1e13]}, "items"),
        ({"items": [1] * 10_001}, "items"),
        ({"items": [1], "chunk_size": 0}, "chunk_size"),
        ({"items": [1], "chunk_size": 1001}, "chunk_size"),
        ({"items": [1], "chunk_size": 2.5}, "chunk_size"),
        ({"items": [1], "seconds_per_item": -1}, "seconds_per_item"),
    ],
)
def test_bad_arguments_are_refused_at_the_door(client: FlaskClient, arguments: dict[str, Any], field: str) -> None:
    answer = client.post("/tasks/process_batch", json=arguments)
    assert answer.status_code == 422
    assert answer.json is not None and list(answer.json["errors"]) == [field]


def test_the_tasks_within_are_not_offered(client: FlaskClient) -> None:
    offered = {task["name"] for task in client.get("/task-types").json or ()}
    assert "process_batch" in offered
    assert not offered & {"process_chunk", "merge_chunks"}
