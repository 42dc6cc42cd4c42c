"""`flask files`, and what `flask jobs show` says of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from task_app.files import service
from task_app.jobs import service as jobs
from task_app.jobs.submission import Submission

from .test_sweeper import aged, artefact_of, running_job


def flask(app: Flask, *words: str, **more: Any) -> Result:
    return app.test_cli_runner().invoke(args=["files", *words], **more)


def test_files_are_put_listed_read_and_deleted(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n")
    put = flask(app, "put", str(tmp_path / "t.csv"))
    file_id = put.output.strip()
    assert put.exit_code == 0 and file_id.startswith("file-")
    assert flask(app, "list").output.split("\t")[:4] == [file_id, "t.csv", "4 B", "text/csv"]
    assert json.loads(flask(app, "list", "--json").output)[0]["id"] == file_id
    assert flask(app, "get", file_id, "-").output == "a,b\n"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert flask(app, "get", file_id).output == "t.csv\n"
    again = flask(app, "get", file_id)
    assert (again.exit_code, again.output) == (1, "Error: t.csv: File exists\n")
    assert flask(app, "get", file_id, "--force").exit_code == 0
    assert (tmp_path / "here" / "t.csv").read_bytes() == b"a,b\n"
    assert flask(app, "delete", file_id).exit_code == 0
    gone = flask(app, "delete", file_id)
    assert (gone.exit_code, gone.output) == (1, f"Error: there is no file {file_id}\n")


def test_standard_input_is_a_file(app: Flask) -> None:
    file_id = flask(app, "put", "-", "--name", "x", "--type", "text/csv", input=b"1").output.strip()
    with app.app_context():
        stored = service.info(file_id)
    assert (stored.name, stored.type, stored.size) == ("x", "text/csv", 1)


def test_what_can_not_be_read_is_one_line(app: Flask, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        result = flask(app, "put", str(path))
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: {path}: ")
        assert result.output.count("\n") == 1


def test_a_file_in_use_is_not_deleted(app: Flask) -> None:
    with app.app_context():
        file_id = service.store(b"x", "x").id
        job = jobs.submit(Submission(task="add", kwargs=f'{{"file":"{file_id}"}}'))
    result = flask(app, "delete", file_id)
    assert (result.exit_code, f"job {job.id} has not ended" in result.output) == (1, True)


def test_prune_removes_what_the_sweeper_would(app: Flask) -> None:
    from datetime import timedelta

    with app.app_context():
        aged(service.store(b"x", "x").id, timedelta(days=8))
        kept = service.store(b"x", "x").id
    assert flask(app, "prune").output == "1 file removed\n"
    assert json.loads(flask(app, "list", "--json").output)[0]["id"] == kept


def test_jobs_show_names_what_was_made(app: Flask) -> None:
    with app.app_context():
        job_id = running_job()
        file_id = artefact_of(job_id)
    shown = app.test_cli_runner().invoke(args=["jobs", "show", job_id])
    assert [made["id"] for made in json.loads(shown.output)["artefacts"]] == [file_id]
