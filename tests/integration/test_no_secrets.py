"""Keys and the key of sessions appear nowhere: not in logs, not on pages, not in error documents."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app.keys.roles import Role

from ..keys import bearer, make_key, serving, token_of

SECRET_KEY = "the-key-of-all-sessions"
WRONG = f"taskapp_{'1' * 16}_{'2' * 64}"


@pytest.fixture
def app(tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Flask]:
    """An app that asks everybody for a key, and shows errors as outside of tests."""
    with serving(tmp_path, migrated_sqlite, SECRET_KEY=SECRET_KEY, TESTING=False) as app:
        yield app


def everything_said(client: FlaskClient, key: str) -> str:
    """Ask in all the ways that can go wrong, with a key; return the answers with their headers."""
    said = []
    for accept in ("text/html", "application/json"):
        headers = {**bearer(key), "Accept": accept}
        for method, path in (
            ("GET", "/"),
            ("GET", "/keys"),
            ("POST", "/keys"),
            ("GET", "/tasks"),
            ("GET", "/tasks/nope"),
            ("DELETE", "/tasks/nope"),
            ("POST", "/tasks"),
            ("GET", "/nope"),
            ("PUT", "/tasks"),
            ("GET", "/broken"),
            ("GET", "/openapi.json"),
            ("GET", "/readyz"),
        ):
            answer = client.open(path, method=method, headers=headers)
            said.append(f"{answer.headers} {answer.text}")
        visitor = client.application.test_client()
        form = {"key": key, "csrf_token": token_of(visitor)}
        answer = visitor.post("/sign-in", data=form, headers={"Accept": accept})
        said.append(f"{answer.headers} {answer.text}")
    return "\n".join(said)


@pytest.mark.parametrize("kind", ["wrong", "malformed", "viewer", "database"])
def test_no_secret_is_said_or_logged(app: Flask, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    caplog.set_level(logging.DEBUG)

    def broken() -> str:
        raise RuntimeError("on purpose")

    app.add_url_rule("/broken", view_func=broken)
    key = {"wrong": WRONG, "malformed": "not a key: hunter2"}.get(kind) or make_key(app, Role.VIEWER)
    client = app.test_client()
    token_of(client)
    if kind == "database":
        Path(app.instance_path, "test.db").write_bytes(b"no database at all" * 1000)
        app.extensions["keys"].forget()
        answers = [client.get(path, headers=bearer(key)) for path in ("/", "/keys", "/tasks", "/broken")]
        assert {answer.status_code for answer in answers} >= {500}
        said = "\n".join(f"{answer.headers} {answer.text}" for answer in answers)
    else:
        said = everything_said(client, key)
    logged = caplog.text
    assert said and logged
    for secret in (key, key.rpartition("_")[2], SECRET_KEY):
        assert secret not in said
        assert secret not in logged
    assert "Bearer " not in logged
