"""Files as Python code keeps and reads them, and as tasks make them, with the rows of every database."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from flask import Flask
from moto.server import ThreadedMotoServer
from s3fs import S3FileSystem
from sqlalchemy import select

from task_app.errors import FileNotFound, FilesUnavailable, FileTooLarge, NotInJob, SessionHoldsLock
from task_app.extensions import db
from task_app.files import service
from task_app.files.arriving import Source
from task_app.files.models import File
from task_app.files.runtime import files_runtime
from task_app.files.store import Store
from task_app.jobs import service as jobs
from task_app.jobs.runtime import runtime
from task_app.mirror import arguments
from task_app.tasks import FileId, file_info, file_path, open_file, save_artefact
from task_app.users.models import User

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


def test_files_are_found_wherever_a_hint_puts_them(app: Flask) -> None:
    stored = service.store(CSV, "table.csv").id

    def many(
        files: list[FileId], named: dict[str, list[FileId]], either: FileId | int | None = None, *, note: str = ""
    ) -> None: ...

    task = app.extensions["celery"].task(many, name="many", shared=False)
    try:
        good = {"files": [stored], "named": {"a": [stored]}, "either": stored, "note": NOBODY}
        assert arguments.bind(task, [], good) == ([], good)
        assert arguments.bind(task, [[], {}, None], {}) == ([[], {}, None], {})
        bad = {"files": [stored, NOBODY, NOBODY], "named": {"a": [stored], "b": [NOBODY]}, "either": NOBODY}
        with pytest.raises(arguments.ArgumentErrors) as caught:
            arguments.bind(task, [], bad)
        gone = "There is no such file."
        assert caught.value.errors == {
            "files": [f"1: {gone}", f"2: {gone}"],
            "named": [f"b.0: {gone}"],
            "either": [gone],
        }
        for wrong in ({"files": "x", "named": 3}, {"files": [1, None], "named": {"a": "x"}, "either": [NOBODY]}):
            with pytest.raises(arguments.ArgumentErrors):
                arguments.bind(task, [], wrong)
        schema = arguments.json_schema_of(task)["properties"]
        assert schema["files"]["items"] == {
            "type": "string",
            "format": "file-id",
            "description": "The id of a file that was uploaded.",
        }
    finally:
        del app.extensions["celery"].tasks["many"]


def test_an_eager_call_is_no_job(app: Flask) -> None:
    def eager() -> None:
        save_artefact("x", b"x")

    task = app.extensions["celery"].task(eager, name="eager", shared=False)
    try:
        for call in (task, lambda: task.apply(throw=True)):
            with pytest.raises(NotInJob):
                call()
        assert states() == []
    finally:
        del app.extensions["celery"].tasks["eager"]


def test_text_is_not_taken_for_a_path(app: Flask) -> None:
    with pytest.raises(TypeError, match="not of text"):
        service.store("table.csv", "x")  # type: ignore[arg-type]
    assert states() == []


def test_a_session_that_writes_is_not_waited_for(app: Flask) -> None:
    if runtime().engine.dialect.name != "sqlite":
        pytest.skip("others can write meanwhile")
    db.session.add(User(name="Bob", email="bob@example.org"))
    db.session.flush()
    with pytest.raises(SessionHoldsLock):
        service.store(CSV, "x")
    db.session.rollback()
    assert service.store(CSV, "x").size == len(CSV)


def test_on_s3_a_bucket_that_is_not_there_is_no_error_of_ours(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "x")
    S3FileSystem.clear_instance_cache()  # another test's server had another port
    monkeypatch.setitem(app.extensions, "files", replace(files_runtime(), store=Store(f"s3://nobody-{uuid4()}/x")))
    try:
        with pytest.raises(FilesUnavailable, match="can't be reached"):
            service.store(CSV, "x")
        assert app.test_client().post("/files", data={"file": (BytesIO(CSV), "x")}).status_code == 503
        assert states() == []
    finally:
        server.stop()
