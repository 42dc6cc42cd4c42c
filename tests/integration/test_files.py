"""Files as Python code keeps and reads them, and as tasks make them, with the rows of every database."""

import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from celery import Celery
from flask import Flask
from sqlalchemy import select

from task_app.errors import FileNotFound, FileTooLarge, NotInJob
from task_app.files import service
from task_app.files.arriving import Source
from task_app.files.models import File
from task_app.files.runtime import files_runtime
from task_app.jobs import service as jobs
from task_app.jobs.runtime import runtime
from task_app.mirror import arguments
from task_app.tasks import FileId, file_info, file_path, open_file, save_artefact

from ..inprocess import run_attempt

CSV = b"a,b\n1,2\n"
NOBODY = "file-" + "0" * 32


@pytest.fixture
def app(every_database: Flask) -> Iterator[Flask]:
    """The app of each database in turn, with a task that reads a file and makes another one."""
    celery: Celery = every_database.extensions["celery"]

    @celery.task(name="count_lines", shared=False)
    def count_lines(file: FileId) -> int:
        with open_file(file) as stream:
            lines = len(stream.readlines())
        save_artefact("lines.txt", str(lines).encode())
        return lines

    with every_database.app_context():
        yield every_database
    del celery.tasks["count_lines"]


def states() -> list[str]:
    with runtime().engine.connect() as connection:
        return sorted(connection.execute(select(File.state)).scalars())


def kept_bytes(app: Flask) -> int:
    """Count the files on the disk."""
    return sum(path.is_file() for path in Path(files_runtime().store.url).rglob("*"))


@pytest.mark.parametrize("kind", ["bytes", "stream", "pieces", "path"])
def test_a_stored_file_can_be_read(app: Flask, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(CSV)
    sources: dict[str, Source] = {"bytes": CSV, "stream": BytesIO(CSV), "pieces": [CSV[:3], CSV[3:]], "path": path}
    stored = service.store(sources[kind], "table.csv")
    assert (stored.name, stored.size, stored.type) == ("table.csv", 8, "text/csv")
    assert stored.sha256 == hashlib.sha256(CSV).hexdigest()
    assert file_info(stored.id) == stored
    with open_file(stored.id) as stream:
        assert stream.read() == CSV
    with file_path(stored.id) as kept:
        assert kept.read_bytes() == CSV


def test_a_file_that_is_not_there_is_not_found(app: Flask) -> None:
    for file_id in (NOBODY, "", "../../etc/passwd", "file-x", "é"):
        with pytest.raises(FileNotFound):
            file_info(file_id)
        with pytest.raises(FileNotFound), open_file(file_id):
            pass


def test_a_job_reads_a_file_and_makes_one(app: Flask) -> None:
    stored = service.store(CSV, "table.csv")
    job = run_attempt(app, app.extensions["celery"].tasks["count_lines"].delay(stored.id).id)
    assert (job.state, job.result) == ("SUCCESS", 2)
    (made,) = job.artefacts
    assert made == {
        "id": made["id"],
        "name": "lines.txt",
        "size": 1,
        "type": "text/plain",
        "sha256": hashlib.sha256(b"2").hexdigest(),
    }
    with open_file(made["id"]) as stream:
        assert stream.read() == b"2"
    assert file_info(made["id"]).made_by == job.id


def test_an_artefact_needs_a_running_job(app: Flask) -> None:
    with pytest.raises(NotInJob, match="needs a running job"):
        save_artefact("x", b"x")
    assert states() == []


def test_a_repeated_attempt_replaces_its_artefact(app: Flask) -> None:
    stored = service.store(CSV, "table.csv")
    job_id = app.extensions["celery"].tasks["count_lines"].delay(stored.id).id
    (first,) = run_attempt(app, job_id).artefacts
    jobs.retry(job_id)
    (second,) = run_attempt(app, job_id).artefacts
    assert first["id"] != second["id"]
    assert states() == ["here", "here"]
    with pytest.raises(FileNotFound):
        file_info(first["id"])


def test_arguments_name_files_that_are_there(app: Flask) -> None:
    task = app.extensions["celery"].tasks["count_lines"]
    stored = service.store(CSV, "table.csv")
    assert arguments.bind(task, [stored.id], {}) == ([stored.id], {})
    for wrong, message in ((NOBODY, "There is no such file."), ("x", "Not the id of a file.")):
        with pytest.raises(arguments.ArgumentErrors) as caught:
            arguments.bind(task, [], {"file": wrong})
        assert caught.value.errors == {"file": [message]}


def test_what_is_too_large_leaves_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    before = kept_bytes(app)
    small = files_runtime().__class__(files_runtime().store, 7, files_runtime().types, 0)
    monkeypatch.setitem(app.extensions, "files", small)
    with pytest.raises(FileTooLarge):
        service.store(iter([b"1234", b"5678"]), "x")
    assert states() == []
    assert kept_bytes(app) == before
