"""What the sweeper removes, what it leaves, and that dying in the middle of it does no harm."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select, update

from task_app.errors import FilesUnavailable
from task_app.files import arriving, removing, rows, service, sweeping
from task_app.files.models import File
from task_app.files.runtime import files_runtime
from task_app.jobs import service as jobs
from task_app.jobs import transitions
from task_app.jobs.database import transaction
from task_app.jobs.models import FileUse, Job
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.states import State
from task_app.jobs.submission import Submission
from task_app.maintenance.sweeper import Sweeper

from ..factories import insert_job, job_row

DAY = timedelta(days=1)


@pytest.fixture
def app(every_database: Flask) -> Iterator[Flask]:
    every_database.extensions["files"] = replace(every_database.extensions["files"], retention_days=7.0)
    with every_database.app_context():
        for path in Path(files_runtime().store.url).rglob("*"):
            if path.is_file():
                path.unlink()
        yield every_database


def known() -> set[str]:
    with runtime().engine.connect() as connection:
        return set(connection.execute(select(File.id)).scalars())


def on_disk() -> set[str]:
    return {f"file-{path.name}" for path in Path(files_runtime().store.url).rglob("*") if path.is_file()}


def aged(file_id: str, age: timedelta) -> str:
    moment = utcnow() - age
    with runtime().engine.connect() as connection:
        connection.execute(update(File).where(File.id == file_id).values(created_at=moment, seen_at=moment))
    return file_id


def stored(age: timedelta = timedelta(0)) -> str:
    return aged(service.store(b"x", "x").id, age)


def end(job_id: str, at: datetime | None = None) -> None:
    with runtime().engine.connect() as connection:
        fault = {"type": "E", "message": "m"}
        transitions.end_badly(connection, job_id, None, state=State.FAILURE, error=fault, now=at or utcnow())


def submit(file_id: str) -> str:
    return jobs.submit(Submission(task="add", kwargs=f'{{"file":"{file_id}"}}')).id


def test_an_old_upload_goes_and_a_new_one_stays(app: Flask) -> None:
    stored(8 * DAY)
    new = stored(6 * DAY)
    assert Sweeper().run() == 1
    assert known() == on_disk() == {new}
    assert Sweeper().run() == 0


def test_a_retention_of_nothing_keeps_for_ever(app: Flask) -> None:
    app.extensions["files"] = replace(app.extensions["files"], retention_days=0.0)
    stored(1000 * DAY)
    assert Sweeper().run() == 0


@pytest.mark.parametrize("way", ["delete", "prune", "action"])
def test_an_upload_stays_for_as_long_as_a_job_has_it(app: Flask, way: str) -> None:
    file_id = stored(8 * DAY)
    job_id = submit(file_id)
    assert Sweeper().run() == 0
    end(job_id)
    assert Sweeper().run() == 0
    delete_in_a_way(app, job_id, way)
    assert Sweeper().run() == 1
    assert known() == on_disk() == set()


def delete_in_a_way(app: Flask, job_id: str, way: str) -> None:
    if way == "delete":
        jobs.delete(job_id)
    elif way == "prune":
        assert jobs.prune("FAILURE", utcnow() + DAY, 10) == 1
    else:
        body = {"action": "delete", "task_ids": [job_id]}
        assert app.test_client().post("/task-actions", json=body).status_code == 200
    with runtime().engine.connect() as connection:
        assert connection.execute(select(FileUse.job_id)).all() == []


def artefact_of(job_id: str) -> str:
    """Let a job make a file, as an attempt that runs does."""
    from task_app.files import artefacts

    arrival = artefacts.receive_for(job_id, b"made", "made.txt", None)
    artefacts.keep(arrival, job_id, 1, None)
    return arrival.id


def running_job() -> str:
    with runtime().engine.connect() as connection:
        job_id = insert_job(connection)
        transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life", now=utcnow())
    return job_id


def test_an_artefact_goes_with_its_job(app: Flask) -> None:
    job_id = running_job()
    made = artefact_of(job_id)
    end(job_id)
    assert Sweeper().run() == 0
    assert known() == {made}
    jobs.delete(job_id)
    assert Sweeper().run() == 1
    assert known() == on_disk() == set()


def test_an_artefact_that_was_passed_on_stays_with_the_other_job(app: Flask) -> None:
    maker = running_job()
    made = artefact_of(maker)
    reader = submit(made)
    end(maker)
    jobs.delete(maker)
    assert Sweeper().run() == 0
    end(reader)
    jobs.delete(reader)
    assert Sweeper().run() == 1


def test_a_replaced_artefact_that_was_passed_on_stays_with_the_other_job(app: Flask) -> None:
    maker = running_job()
    first = artefact_of(maker)
    reader = submit(first)
    second = artefact_of(maker)
    assert known() == {first, second}
    assert [made["id"] for made in jobs.get(maker).artefacts] == [second]
    assert Sweeper().run() == 0
    end(reader)
    jobs.delete(reader)
    assert Sweeper().run() == 1
    assert known() == on_disk() == {second}


def begun(age: timedelta) -> str:
    """Begin an upload and die."""
    return aged(arriving.receive(b"half", "half", None).id, age)


def test_an_upload_that_never_ended_goes_after_an_hour(app: Flask) -> None:
    begun(timedelta(minutes=61))
    fresh = begun(timedelta(minutes=59))
    assert Sweeper().run() == 1
    assert known() == on_disk() == {fresh}


def test_a_slow_upload_shows_signs_of_life(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "SIGN_OF_LIFE", 0.0)

    def slowly() -> Iterator[bytes]:
        yield b"first"
        (file_id,) = known()
        aged(file_id, timedelta(hours=2))
        yield b"second"
        assert Sweeper().run() == 0
        yield b"third"

    file = service.store(slowly(), "x")
    assert known() == {file.id}


def test_an_upload_that_was_given_up_does_not_come_back(app: Flask) -> None:
    def too_slowly() -> Iterator[bytes]:
        yield b"first"
        (file_id,) = known()
        aged(file_id, timedelta(hours=2))
        assert Sweeper().run() == 1
        yield b"second"

    with pytest.raises(FilesUnavailable):
        service.store(too_slowly(), "x")
    assert known() == on_disk() == set()


def test_an_upload_that_is_being_given_up_does_not_come_back(app: Flask) -> None:
    def too_slowly() -> Iterator[bytes]:
        yield b"first"
        (file_id,) = known()
        with runtime().engine.connect() as connection:
            rows.let_go(connection, file_id)

    with pytest.raises(FilesUnavailable):
        service.store(too_slowly(), "x")
    assert known() == on_disk() == set()


def test_dying_in_the_middle_leaves_no_bytes_without_a_row(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = stored(8 * DAY)
    for step in ("bytes", "row"):
        with monkeypatch.context() as patch:
            die_at(step, patch)
            with pytest.raises(Dead):
                Sweeper().run()
        assert known() == {file_id}
        assert not service.existing([file_id])
    assert on_disk() == set()
    assert Sweeper().run() == 1
    assert known() == set()


class Dead(BaseException):
    """The process is killed here."""


def die_at(step: str, patch: pytest.MonkeyPatch) -> None:
    def die(*args: object, **kwargs: object) -> None:
        raise Dead

    if step == "bytes":
        patch.setattr(type(files_runtime().store), "remove", die)
    else:
        patch.setattr(rows, "forget", die)


def test_a_store_that_is_away_is_waited_for(app: Flask) -> None:
    stored(8 * DAY)
    store = app.extensions["files"].store
    app.extensions["files"] = replace(app.extensions["files"], store=type(store)("s3-nonsense://x"))
    sweeper = Sweeper()
    assert sweeper.run() == 0
    assert len(known()) == 1
    app.extensions["files"] = replace(app.extensions["files"], store=store)
    assert sweeper.run() == 1
    assert known() == on_disk() == set()


def test_several_sweepers_at_once_do_no_harm(app: Flask) -> None:
    kept = stored()
    for _ in range(30):
        stored(8 * DAY)

    def sweep() -> int:
        with app.app_context():
            return Sweeper().run()

    with ThreadPoolExecutor(4) as pool:
        done = [job.result() for job in [pool.submit(sweep) for _ in range(4)]]
    assert sum(done) + Sweeper().run() == 30
    assert known() == on_disk() == {kept}


def test_every_file_is_looked_at_however_many_are_used(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_app.maintenance.sweeper.LOOK", 3)
    for number in range(7):
        submit(stored((20 - number) * DAY))
    stored(8 * DAY)
    sweeper = Sweeper()
    assert [sweeper.run() for _ in range(3)] == [0, 0, 1]


def test_a_file_that_is_being_used_is_left_alone(app: Flask) -> None:
    if runtime().engine.dialect.name == "sqlite":
        pytest.skip("one connection writes at a time")
    file_id = stored(8 * DAY)
    row = job_row(kwargs=f'{{"file":"{file_id}"}}')
    with transaction(runtime().engine) as connection:
        transitions.insert_jobs(connection, [row])
        assert Sweeper().run() == 0  # nobody sees the job yet
    assert Sweeper().run() == 0
    assert service.existing([file_id]) == {file_id}


def test_a_file_that_was_used_since_the_look_is_left_alone(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    file_id = stored(8 * DAY)
    walk = rows.walk

    def walk_and_wait(*args: Any) -> Any:
        found = walk(*args)
        submit(file_id)
        return found

    monkeypatch.setattr(rows, "walk", walk_and_wait)
    assert Sweeper().run() == 0
    assert service.existing([file_id]) == {file_id}


def test_a_file_that_is_about_to_go_is_not_used(app: Flask) -> None:
    file_id = stored(8 * DAY)
    with transaction(runtime().engine) as connection:
        rows.let_go(connection, file_id)
    submit(file_id)
    with runtime().engine.connect() as connection:
        assert connection.execute(select(FileUse.file_id)).all() == []
        connection.execute(delete(Job))
    assert sweeping.sweep_unfinished(10) == 1


def test_an_artefact_whose_commit_had_no_answer_is_not_given_up(app: Flask) -> None:
    job_id = running_job()
    made = artefact_of(job_id)
    removing.give_up(made)
    assert service.existing([made]) == known() == on_disk() == {made}
    alone = stored()
    removing.give_up(alone)
    assert known() == on_disk() == {made}
