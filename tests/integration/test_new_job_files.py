"""Forms of tasks that want files: choosing one uploads it, and it is not lost when something else is wrong."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse, encode_multipart

from task_app.files import service
from task_app.files.names import Types
from task_app.keys.roles import Role
from task_app.tasks import FileId

from ..html_form import HtmlForm
from ..keys import make_key, serving, signed_in, token_of
from .test_api_submit import add_task
from .test_new_job import HTML, form_of, job_of, messages

NOBODY = "file-" + "0" * 32
CSV = b"a,b\n1,2\n"


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client of an app with tasks that want files."""

    def analyze(table: FileId, rows: int, more: FileId | None = None) -> None: ...

    def merge(files: list[FileId]) -> None: ...

    add_task(app, analyze, name="analyze")
    add_task(app, merge, name="merge")
    with app.app_context():
        yield app.test_client()


def send(client: FlaskClient, task: str, values: MultiDict[str, str], **more: Any) -> TestResponse:
    """Send the form as a browser does: with its files, or without any chosen."""
    data: dict[str, Any] = {key: list(values.getlist(key)) for key in values if not key.endswith(":upload")}
    for name, value in more.items():
        data[f"arg-{name}"] = value
    chosen = {key: data.pop(key) for key in [*data] if key.endswith("_upload")}
    for key, files in chosen.items():
        data[key.removesuffix("_upload") + ":upload"] = [(BytesIO(content), name) for name, content in files]
    return client.post(f"/new/{task}", data=data, content_type="multipart/form-data", headers=HTML)


def kept() -> list[str]:
    return sorted(file.name for file in service.page(limit=100)[0])


def test_a_file_is_chosen_in_the_form_and_used_by_the_job(client: FlaskClient) -> None:
    page = client.get("/new/analyze", headers=HTML).text
    assert 'enctype="multipart/form-data"' in page
    assert HtmlForm(page).attributes["arg-table:upload"]["type"] == "file"
    assert 'enctype="multipart/form-data"' not in client.get("/new/add", headers=HTML).text
    job = job_of(client, send(client, "analyze", HtmlForm(page).values, rows="3", table_upload=[("t.csv", CSV)]))
    stored = service.info(job["kwargs"]["table"])
    assert job["kwargs"] == {"table": stored.id, "rows": 3}
    assert (stored.name, stored.size) == ("t.csv", len(CSV))


def test_an_id_can_be_typed_as_well(client: FlaskClient) -> None:
    stored = service.store(CSV, "t.csv")
    values = form_of(client, "/new/analyze")
    job = job_of(client, send(client, "analyze", values, table=stored.id, rows="1", table_upload=[("", b"")]))
    assert job["kwargs"] == {"table": stored.id, "rows": 1}
    form = form_of(client, f"/new/analyze?from={job['task_id']}")
    assert form["arg-table"] == stored.id
    assert messages(send(client, "analyze", values, table=NOBODY, rows="1")) == {"arg-table": "There is no such file."}
    assert messages(send(client, "analyze", values, table="x", rows="1")) == {"arg-table": "Not the id of a file."}
    assert messages(send(client, "analyze", values, rows="1")) == {"arg-table": "This is needed."}


def test_a_mistake_elsewhere_does_not_lose_the_file(client: FlaskClient) -> None:
    values = form_of(client, "/new/analyze")
    refused = send(client, "analyze", values, rows="many", table_upload=[("t<b>.csv", CSV)])
    assert refused.status_code == 422
    assert "t_b_.csv (8 B) is uploaded" in refused.text
    again = HtmlForm(refused.text).values
    job = job_of(client, send(client, "analyze", again, rows="2"))
    assert service.info(job["kwargs"]["table"]).name == "t_b_.csv"
    assert kept() == ["t_b_.csv"]


def test_several_files_go_into_a_list(client: FlaskClient) -> None:
    before = service.store(b"0", "0")
    values = form_of(client, "/new/merge")
    files = [("1", b"1"), ("2", b"2")]
    job = job_of(client, send(client, "merge", values, files=before.id, files_upload=files))
    assert [service.info(file_id).name for file_id in job["kwargs"]["files"]] == ["0", "1", "2"]


def test_what_is_refused_is_said_beside_the_field(app: Flask, client: FlaskClient) -> None:
    app.extensions["files"] = replace(app.extensions["files"], size_limit=10, types=Types.parse("text/csv"))
    values = form_of(client, "/new/analyze")
    large = send(client, "analyze", values, rows="1", table_upload=[("t.csv", CSV * 2)])
    assert large.status_code == 422
    assert "larger than 10 bytes" in messages(large)["arg-table"]
    wrong = send(client, "analyze", values, rows="1", table_upload=[("t.pdf", CSV)])
    assert "application/pdf are not accepted" in messages(wrong)["arg-table"]
    assert kept() == []


def test_a_form_that_is_sent_twice_makes_one_job_and_one_file(client: FlaskClient) -> None:
    values = form_of(client, "/new/analyze")
    once, twice = (send(client, "analyze", values, rows="3", table_upload=[("t.csv", CSV)]) for _ in range(2))
    assert once.location == twice.location
    assert kept() == ["t.csv"]
    other = send(client, "analyze", values, rows="3", table_upload=[("t.csv", CSV + b"3,4\n")])
    assert other.status_code == 409


def test_a_retry_can_bring_another_file(app: Flask, client: FlaskClient) -> None:
    job = job_of(client, send(client, "analyze", form_of(client, "/new/analyze"), rows="1", table_upload=[("1", CSV)]))
    client.post(f"/tasks/{job['task_id']}/cancel")
    url = f"/jobs/{job['task_id']}/edit"
    values = form_of(client, url)
    data: dict[str, Any] = {key: list(values.getlist(key)) for key in values if not key.endswith(":upload")}
    data |= {"arg-table:upload": [(BytesIO(b"other"), "2")]}
    assert client.post(url, data=data, content_type="multipart/form-data", headers=HTML).status_code == 303
    again = client.get(f"/tasks/{job['task_id']}").get_json()
    assert service.info(again["kwargs"]["table"]).name == "2"
    assert client.delete(f"/files/{again['kwargs']['table']}").status_code == 409


def test_the_job_page_shows_what_was_made(app: Flask, client: FlaskClient) -> None:
    from .test_sweeper import artefact_of, running_job

    job_id = running_job()
    assert "Artefacts" not in client.get(f"/jobs/{job_id}", headers=HTML).text
    file_id = artefact_of(job_id)
    page = client.get(f"/jobs/{job_id}", headers=HTML).text
    assert f'<a href="/files/{file_id}" download>made.txt</a>' in page
    assert client.get(f"/files/{file_id}").data == b"made"


def test_a_file_may_be_larger_than_other_bodies(app: Flask, client: FlaskClient) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 3000
    app.extensions["files"] = replace(app.extensions["files"], size_limit=5000)
    values = form_of(client, "/new/analyze")
    job_of(client, send(client, "analyze", values, rows="1", table_upload=[("t.csv", b"x" * 5000)]))
    too_large = send(client, "analyze", values, rows="1", table_upload=[("t.csv", b"x" * 8000)])
    assert too_large.status_code == 413
    assert kept() == ["t.csv"]


def test_a_text_beside_files_may_be_as_long_as_arguments_may(app: Flask, client: FlaskClient) -> None:
    def sent(text: str) -> TestResponse:
        values = {key: value for key, value in form_of(client, "/new/send_email").items() if ":upload" not in key}
        values |= {"arg-to": "a@example.com", "arg-subject": "x", "arg-body": text}
        boundary, body = encode_multipart(values)
        kind = f"multipart/form-data; boundary={boundary}"
        return client.post("/new/send_email", data=body, content_type=kind, headers=HTML)

    for size in (600_000, 900_000):
        assert job_of(client, sent("x" * size))["kwargs"]["body"] == "x" * size
    too_long = "x" * (app.config["JOB_ARGUMENTS_LIMIT"] + 100_000)
    refused = sent(too_long)
    assert refused.status_code == 422
    assert messages(refused)["arg-body"].startswith("Take more than ")
    assert HtmlForm(refused.text).values["arg-body"] == too_long


@pytest.mark.parametrize("role", [None, Role.VIEWER, Role.OPERATOR])
def test_nobody_uploads_who_may_not(tmp_path: Path, migrated_sqlite: bytes, role: Role | None) -> None:
    with serving(tmp_path, migrated_sqlite, WTF_CSRF_ENABLED=True) as app:
        make_key(app)

        def analyze(table: FileId) -> None: ...

        add_task(app, analyze, name="analyze")
        client = app.test_client() if role is None else signed_in(app, role)
        data: dict[str, Any] = {"arg-table:upload": (BytesIO(CSV), "t.csv")}
        if role is Role.OPERATOR:
            assert client.post("/new/analyze", data=data | {"csrf_token": "x"}, headers=HTML).status_code == 400
            token = token_of(client, "/new/analyze")
            data["arg-table:upload"] = (BytesIO(CSV), "t.csv")
            assert client.post("/new/analyze", data=data | {"csrf_token": token}, headers=HTML).status_code == 303
        else:
            assert client.post("/new/analyze", data=data, headers=HTML).status_code in (302, 401, 403)
        with app.app_context():
            assert kept() == (["t.csv"] if role is Role.OPERATOR else [])
