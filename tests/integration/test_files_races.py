"""Everybody at the same few files at once: what was promised of each still holds, and nobody waits for ever."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from task_app.errors import FileInUse, FileNotFound, IllegalMove, JobNotFound
from task_app.extensions import db
from task_app.files import artefacts, service
from task_app.files.models import File
from task_app.files.runtime import files_runtime
from task_app.jobs import service as jobs
from task_app.jobs import transitions
from task_app.jobs.file_uses import ARTEFACT
from task_app.jobs.models import FileUse, Job
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.states import State
from task_app.jobs.submission import Submission
from task_app.maintenance.sweeper import Sweeper

from ..factories import insert_job

ROUNDS, HANDS, MAKERS = 25, 6, 3


@pytest.fixture
def app(every_database: Flask) -> Iterator[Flask]:
    every_database.extensions["files"] = replace(every_database.extensions["files"], retention_days=1e-7)
    with every_database.app_context():
        for path in Path(files_runtime().store.url).rglob("*"):
            if path.is_file():
                path.unlink()
        yield every_database


class Hand:
    """One of those who do something with files; `ends` are the jobs that anybody may end."""

    def __init__(self, seed: int, makers: list[str], ends: list[str]) -> None:
        self.dice, self.makers, self.ends = random.Random(seed), makers, ends

    def save(self) -> None:
        job_id = self.dice.choice(self.makers)
        artefacts.keep(artefacts.receive_for(job_id, b"x", self.dice.choice("ab"), None), job_id, 1, None)

    def name(self) -> None:
        self.ends.append(jobs.submit(Submission(task="add", kwargs=self.naming())).id)

    def end_and_delete(self) -> None:
        job_id = self.ends.pop()
        jobs.cancel(job_id)
        if self.dice.random() < 0.5:
            jobs.retry(job_id, kwargs=self.naming())
            jobs.cancel(job_id)
        jobs.delete(job_id)

    def delete(self) -> None:
        service.delete(any_file(self.dice))

    def sweep(self) -> None:
        Sweeper().run()

    def naming(self) -> str:
        return f'{{"file":"{any_file(self.dice)}"}}'

    def work(self, app: Flask) -> None:
        with app.app_context():
            for _ in range(ROUNDS):
                act = self.dice.choice(
                    [self.save, self.save, self.name, self.name, self.end_and_delete, self.delete, self.sweep]
                )
                with suppress(FileNotFound, FileInUse, JobNotFound, IllegalMove, IndexError):  # somebody was faster
                    act()


def test_whoever_comes_first(app: Flask) -> None:
    with runtime().engine.connect() as connection:
        makers = [insert_job(connection) for _ in range(MAKERS)]
        for job_id in makers:
            transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life", now=utcnow())
    ends: list[str] = []
    with ThreadPoolExecutor(HANDS) as pool:
        for done in [pool.submit(Hand(seed, makers, ends).work, app) for seed in range(HANDS)]:
            done.result()
    assert_promises(makers)
    for job_id in [*makers, *ends]:
        with runtime().engine.connect() as connection:
            fault = {"type": "E", "message": "m"}
            transitions.end_badly(connection, job_id, None, state=State.FAILURE, error=fault, now=utcnow())
        jobs.delete(job_id)
    while Sweeper().run():
        pass
    assert known() == on_disk() == set()


def any_file(dice: random.Random) -> str:
    ids = sorted(known()) if dice.random() < 0.8 else []
    return dice.choice(ids) if ids else service.store(b"x", "x").id


def known() -> set[str]:
    with runtime().engine.connect() as connection:
        return set(connection.execute(select(File.id)).scalars())


def on_disk() -> set[str]:
    return {f"file-{path.name}" for path in Path(files_runtime().store.url).rglob("*") if path.is_file()}


def assert_promises(makers: list[str]) -> None:
    db.session.rollback()
    assert on_disk() <= known()
    with runtime().engine.connect() as connection:
        used = set(connection.execute(select(FileUse.file_id)).scalars())
        made: dict[str, set[str]] = {job_id: set() for job_id in makers}
        for job_id, file_id in connection.execute(
            select(FileUse.job_id, FileUse.file_id).where(FileUse.kind == ARTEFACT)
        ):
            made[job_id].add(file_id)
        alive = set(connection.execute(select(Job.id)).scalars())
    assert service.existing(sorted(used)) == used <= on_disk()
    for job_id in makers:
        assert job_id in alive
        assert {each["id"] for each in jobs.get(job_id).artefacts} == made[job_id]
        assert len(made[job_id]) <= 2
