"""Every way to make a job, or to give it other arguments, keeps the files that it names; and costs others nothing."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery, Task, chain
from flask import Flask
from sqlalchemy import event, select

from task_app.errors import FileInUse, FileNotFound, JobCancelled, JobExists
from task_app.extensions import db
from task_app.files import service, sweeping
from task_app.jobs import service as jobs
from task_app.jobs.filters import Filter
from task_app.jobs.models import FileUse
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission
from task_app.tasks import FileId, open_file, save_artefact

from ..inprocess import run_attempt
from .test_files import states

NOBODY = "file-" + "0" * 32


class Killed(BaseException):
    """The process that runs the task is killed here."""


@pytest.fixture
def app(every_database: Flask) -> Iterator[Flask]:
    celery: Celery = every_database.extensions["celery"]

    @celery.task(name="make", shared=False)
    def make(text: str) -> str:
        return save_artefact("made.txt", text.encode())

    @celery.task(name="read", shared=False)
    def read(file: FileId) -> str:
        with open_file(file) as stream:
            return stream.read().decode()

    @celery.task(name="read_two", bind=True, shared=False)
    def read_two(self: Task, file: FileId, second: FileId) -> None:
        if file != second:
            raise self.retry(args=(second, second), kwargs={}, countdown=0)

    @celery.task(name="die_once", bind=True, shared=False)
    def die_once(self: Task) -> int:
        attempt: int = self.request.job_attempt
        save_artefact("made.txt", f"attempt {attempt}".encode())
        if attempt == 1:
            raise Killed
        return attempt

    with every_database.app_context():
        yield every_database
    for name in ("make", "read", "read_two", "die_once"):
        del celery.tasks[name]


@pytest.fixture
def file_id(app: Flask) -> str:
    return service.store(b"hello", "hello.txt").id


def uses() -> set[tuple[str, str]]:
    with runtime().engine.connect() as connection:
        return {(row.job_id, row.file_id) for row in connection.execute(select(FileUse.job_id, FileUse.file_id))}


def task(app: Flask, name: str) -> Any:
    return app.extensions["celery"].tasks[name]


def test_a_submit_by_any_door_keeps_the_file(app: Flask, file_id: str) -> None:
    client = app.test_client()
    ids = [
        client.post("/tasks", json={"task": "read", "args": [file_id]}).get_json()["task_id"],
        client.post("/tasks/read", json={"file": file_id}).get_json()["task_id"],
        client.post("/tasks/read", data={"file": file_id}).get_json()["task_id"],
        task(app, "read").delay(file_id).id,
        task(app, "read").apply_async(kwargs={"file": file_id}, countdown=60).id,
        app.test_cli_runner().invoke(args=["jobs", "submit", "read", f"file={file_id}"]).output.strip(),
    ]
    assert uses() == {(job_id, file_id) for job_id in ids}


@pytest.mark.parametrize("size", [3, 50])
def test_a_batch_keeps_its_files(app: Flask, file_id: str, size: int) -> None:
    other = service.store(b"x", "x").id
    body = [{"task": "read", "args": [other if number % 2 else file_id]} for number in range(size)]
    ids = app.test_client().post("/tasks/batch", json=body).get_json()["task_ids"]
    assert uses() == {(job_id, other if number % 2 else file_id) for number, job_id in enumerate(ids)}


def test_a_job_of_a_transaction_keeps_its_file_with_it(app: Flask, file_id: str) -> None:
    task(app, "read").delay_on_commit(file_id)
    db.session.rollback()
    assert uses() == set()
    job_id = task(app, "read").delay_on_commit(file_id)
    db.session.commit()
    assert uses() == {(job_id, file_id)}


def test_a_step_of_a_chain_keeps_what_the_step_before_made(app: Flask) -> None:
    last = chain(task(app, "make").s("hello"), task(app, "read").s()).delay()
    first = last.parent.id
    made = run_attempt(app, first).result
    # What Celery does at the end of a step, which `run_attempt` leaves out.
    jobs.submit(Submission(task="read", args=f'["{made}"]', id=last.id), taken=jobs.Taken.KEEP)
    assert uses() == {(first, made), (last.id, made)}
    assert run_attempt(app, last.id).result == "hello"


def test_a_retry_of_the_task_keeps_its_other_file(app: Flask, file_id: str) -> None:
    job_id = task(app, "read_two").delay(file_id, NOBODY).id
    assert uses() == {(job_id, file_id)}
    second = service.store(b"x", "x").id
    with runtime().engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM file_use")
    job_id = task(app, "read_two").delay(file_id, second).id
    with runtime().engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM file_use")
    assert run_attempt(app, job_id).state == "RETRY"
    assert uses() == {(job_id, second)}


def test_a_retry_with_other_arguments_keeps_both_files(app: Flask, file_id: str) -> None:
    job_id = task(app, "read").delay(file_id).id
    jobs.cancel(job_id)
    other = service.store(b"other", "x").id
    url = f"/tasks/{job_id}/retry"
    assert app.test_client().post(url, json={"args": [other]}).status_code == 202
    assert uses() == {(job_id, file_id), (job_id, other)}
    with pytest.raises(FileInUse):
        service.delete(other)
    jobs.cancel(job_id)
    assert app.test_client().post(url, json={"args": [other]}).status_code == 202
    assert uses() == {(job_id, file_id), (job_id, other)}


def test_a_file_that_is_not_there_is_refused_by_the_doors_alone(app: Flask) -> None:
    client = app.test_client()
    refused = client.post("/tasks", json={"task": "read", "args": [NOBODY]})
    assert refused.get_json()["errors"] == {"args": {"0": ["There is no such file."]}}
    named = client.post("/tasks/read", json={"file": NOBODY})
    assert (named.status_code, named.get_json()["errors"]) == (422, {"file": ["There is no such file."]})
    job_id = task(app, "read").delay(NOBODY).id
    assert uses() == set()
    error = run_attempt(app, job_id).error
    assert error is not None
    assert (error["type"], error["message"]) == ("FileNotFound", f"there is no file {NOBODY}")


def test_the_same_job_twice_keeps_its_file_once(app: Flask, file_id: str) -> None:
    submission = Submission(task="read", args=f'["{file_id}"]', id="mine")
    jobs.submit(submission)
    with pytest.raises(JobExists):
        jobs.submit(submission)
    jobs.submit(submission, taken=jobs.Taken.SAME)
    assert uses() == {("mine", file_id)}


def test_jobs_without_files_cost_no_statement(app: Flask, file_id: str) -> None:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "file" in statement:
            seen.append(" ".join(statement.split()[:3]))

    event.listen(runtime().engine, "before_cursor_execute", note)
    try:
        job = jobs.submit(Submission(task="add", args='["a file-like text"]'))
        jobs.submit_many([Submission(task="add", args="[1,2]")] * 30)
        jobs.cancel(job.id)
        jobs.retry(job.id)
        run_attempt(app, job.id)
        assert seen == []
        jobs.submit(Submission(task="read", args=f'["{file_id}"]'))
        assert seen == ["SELECT file.id FROM", "INSERT INTO file_use"]
    finally:
        event.remove(runtime().engine, "before_cursor_execute", note)


# -- attempts ----------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_after_saving_leaves_one_artefact(app: Flask) -> None:
    job_id = task(app, "die_once").delay().id
    with pytest.raises(Killed):
        run_attempt(app, job_id)
    (first,) = jobs.get(job_id).artefacts
    with app.app_context():
        assert jobs.give_up_attempt(job_id, 1, reason="killed", max_rescues=3) == "RETRY"
    assert jobs.get(job_id).artefacts == [first]
    job = run_attempt(app, job_id)
    assert (job.state, job.result) == ("SUCCESS", 2)
    (made,) = job.artefacts
    with open_file(made["id"]) as stream:
        assert stream.read() == b"attempt 2"
    with pytest.raises(FileNotFound):
        service.info(first["id"])
    assert states() == ["here"]


def test_an_attempt_that_was_given_up_saves_nothing(app: Flask) -> None:
    problems: list[type[BaseException]] = []

    def late() -> None:
        """Be given up for dead, and come back."""
        job_id = next(job.id for job in jobs.page(Filter(), limit=1).jobs)
        jobs.give_up_attempt(job_id, 1, reason="frozen", max_rescues=3)
        try:
            save_artefact("late.txt", b"late")
        except JobCancelled as error:
            problems.append(type(error))
            raise

    app.extensions["celery"].task(late, name="late", shared=False)
    try:
        job_id = task(app, "late").delay().id
        run_attempt(app, job_id)
    finally:
        del app.extensions["celery"].tasks["late"]
    assert problems == [JobCancelled]
    assert jobs.get(job_id).artefacts == []
    assert states() == []


def test_a_deleted_artefact_is_named_no_more(app: Flask) -> None:
    job_id = task(app, "make").delay("hello").id
    file_id = run_attempt(app, job_id).result
    before = jobs.get(job_id)
    assert [made["id"] for made in before.artefacts] == [file_id]
    service.delete(file_id)
    after = jobs.get(job_id)
    assert after.artefacts == []
    assert after.version > before.version  # who watches the page sees it
    assert uses() == set()


def test_a_file_that_can_not_be_removed_now_is_gone_all_the_same(app: Flask, file_id: str) -> None:
    job_id = task(app, "read").delay(file_id).id
    jobs.cancel(job_id)
    files = app.extensions["files"]
    app.extensions["files"] = replace(files, store=type(files.store)("s3-nonsense://x"))
    service.delete(file_id)
    app.extensions["files"] = files
    assert (service.existing([file_id]), uses()) == (set(), set())
    assert states() == ["going"]
    assert sweeping.sweep_unfinished(10) == 1
    assert states() == []
