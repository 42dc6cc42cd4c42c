"""Watching clients keep threads busy; past the limit others must still be answered."""

import time

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app.web.watchers import Watchers


@pytest.fixture
def one_place(app: Flask, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setitem(app.extensions, "watchers", Watchers(1))
    return app.test_client()


def test_a_stream_too_many_is_refused_until_one_ends(one_place: FlaskClient) -> None:
    job_id = one_place.post("/tasks/add", json={"a": 1, "b": 2}).get_json()["task_id"]
    first = one_place.get(f"/tasks/{job_id}/events")
    refused = one_place.get(f"/tasks/{job_id}/events")
    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0
    first.close()
    again = one_place.get(f"/tasks/{job_id}/events")
    assert again.status_code == 200
    again.close()


def test_a_wait_too_many_is_answered_at_once(one_place: FlaskClient) -> None:
    job_id = one_place.post("/tasks/add", json={"a": 1, "b": 2}).get_json()["task_id"]
    stream = one_place.get(f"/tasks/{job_id}/events")
    before = time.monotonic()
    assert one_place.get(f"/tasks/{job_id}?wait=30").status_code == 200
    assert time.monotonic() - before < 10
    stream.close()
    before = time.monotonic()
    assert one_place.get(f"/tasks/{job_id}?wait=0.3").get_json()["task_status"] == "PENDING"
    assert time.monotonic() - before >= 0.3


@pytest.mark.parametrize(("has_threads", "status"), [(False, 503), (True, 200)])
def test_a_server_without_threads_has_no_streams(app: Flask, has_threads: bool, status: int) -> None:
    job_id = app.test_client().post("/tasks/add", json={"a": 1, "b": 2}).get_json()["task_id"]
    server = {"SERVER_SOFTWARE": "gunicorn/27.0.1", "wsgi.multithread": has_threads}
    answer = app.test_client().get(f"/tasks/{job_id}/events", environ_overrides=server)
    assert answer.status_code == status
    answer.close()
