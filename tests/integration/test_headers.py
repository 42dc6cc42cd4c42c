"""What browsers are told besides: what an answer may do, and what may be kept of it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from ..keys import bearer, make_key, serving


@pytest.fixture
def app(tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Flask]:
    """An app that asks everybody for a key."""
    with serving(tmp_path, migrated_sqlite) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client that has one."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = bearer(make_key(app))["Authorization"]
    return client


def policy(response: object) -> dict[str, str]:
    text: str = response.headers["Content-Security-Policy"]  # type: ignore[attr-defined]
    return {name: value for name, _, value in (part.partition(" ") for part in text.split("; "))}


@pytest.mark.parametrize("path", ["/", "/keys", "/sign-in", "/docs/", "/tasks", "/openapi.json", "/nope", "/healthz"])
def test_every_answer_is_taken_for_what_it_is(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert response.headers.getlist("Referrer-Policy") == ["same-origin"]
    assert response.headers["Cache-Control"] == "no-store"
    assert len(response.headers.getlist("Content-Security-Policy")) == 1
    assert policy(response)["frame-ancestors"] == "'none'"
    assert policy(response)["default-src"] == "'none'"
    assert "Strict-Transport-Security" not in response.headers


def test_pages_may_load_what_is_ours(client: FlaskClient) -> None:
    response = client.get("/keys")
    assert policy(response) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "font-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "camera=()" in response.headers["Permissions-Policy"]


def test_a_nonce_is_of_one_answer(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/two", view_func=lambda: render_template_string("{{ csp_nonce() }} {{ csp_nonce() }}"))
    answers = [client.get("/two") for _ in range(2)]
    nonces = {nonce for answer in answers for nonce in answer.text.split()}
    assert len(nonces) == 2
    for answer in answers:
        nonce = answer.text.split()[0]
        assert len(nonce) >= 20
        assert policy(answer)["script-src"] == f"'self' 'nonce-{nonce}'"


def test_the_documentation_has_a_policy_of_its_own(client: FlaskClient) -> None:
    response = client.get("/docs/")
    (nonce,) = re.findall(r'<script nonce="([^"]+)">', response.text)
    assert policy(response)["script-src"] == f"'self' 'nonce-{nonce}'"
    assert policy(response)["style-src"] == "'self' 'unsafe-inline'"
    assert len(re.findall(r"<script(?! src=)", response.text)) == 1


def test_tls_is_asked_for_where_there_is_tls(client: FlaskClient) -> None:
    response = client.get("/tasks", base_url="https://localhost")
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_assets_are_kept_where_their_address_names_a_version(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "x.js").write_text("1")
    monkeypatch.setattr(app.blueprints["dashboard"], "static_folder", str(tmp_path))
    for query, kept in (("", "no-cache"), ("?v=1a2b", "public, max-age=31536000, immutable")):
        with app.test_client().get(f"/assets/x.js{query}") as response:
            assert (response.status_code, response.headers["Cache-Control"]) == (200, kept)
    assert app.test_client().get("/assets/nope.js").headers["Cache-Control"] == "no-store"


def test_streams_are_not_kept_either(client: FlaskClient) -> None:
    job_id = client.post("/tasks/block").get_json()["task_id"]
    with client.get(f"/tasks/{job_id}/events") as response:
        assert response.headers["Cache-Control"] == "no-cache"
        assert response.mimetype == "text/event-stream"
