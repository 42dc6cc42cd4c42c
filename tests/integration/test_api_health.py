"""/healthz and /readyz: always an answer, in time."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app import create_app
from task_app.api.health import Probe

from ..conftest import dispose, settings_for
from .test_api_submit import problem_of


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


def test_the_process_is_alive_whatever_else_is_down(client: FlaskClient) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_ready_when_database_and_broker_answer(app: Flask, client: FlaskClient) -> None:
    app.extensions["celery"].conf.broker_url = "memory://"
    app.extensions["celery"].conf.broker_write_url = "memory://"
    response = client.get("/readyz")
    assert response.status_code == 200, response.text
    assert response.get_json() == {"status": "ok", "checks": {"database": "ok", "broker": "ok"}}


def test_an_absent_broker_is_named(client: FlaskClient) -> None:
    document = problem_of(client.get("/readyz"), 503)
    assert document["checks"]["database"] == "ok"
    assert document["checks"]["broker"].startswith("unreachable")
    assert "broker" in document["detail"]
    assert "127.0.0.1" not in str(document)


def test_an_absent_database_is_named(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/nowhere/test.db"))
    document = problem_of(app.test_client().get("/readyz"), 503)
    assert document["checks"]["database"].startswith("unreachable")
    dispose(app)


def test_a_database_without_tables_is_not_ready(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path))
    assert problem_of(app.test_client().get("/readyz"), 503)["checks"]["database"] != "ok"
    dispose(app)


@pytest.mark.parametrize("what", ["redis", "amqp", "postgresql"])
def test_a_server_that_never_answers_is_named_in_time(tmp_path: Path, silent_port: int, what: str) -> None:
    settings: dict[str, Any] = {
        "redis": {"CELERY_BROKER_URL": f"redis://127.0.0.1:{silent_port}/0"},
        "amqp": {"CELERY_BROKER_URL": f"amqp://127.0.0.1:{silent_port}//"},
        "postgresql": {"SQLALCHEMY_DATABASE_URI": f"postgresql://u:secret@127.0.0.1:{silent_port}/x"},
    }[what]
    if what == "postgresql":
        pytest.importorskip("psycopg")
    app = create_app(settings_for(tmp_path, **settings))
    started = time.monotonic()
    document = problem_of(app.test_client().get("/readyz"), 503)
    assert time.monotonic() - started < 2
    assert document["checks"]["database" if what == "postgresql" else "broker"] != "ok"
    assert "secret" not in str(document)
    dispose(app)


def test_asking_again_joins_a_check_that_hangs() -> None:
    calls: list[int] = []
    release = threading.Event()

    def check() -> None:
        calls.append(1)
        release.wait(10)

    probe = Probe("test", check)
    first = probe.start()
    assert first.outcome(timeout=0) == "no answer"
    assert probe.start() is first
    release.set()
    assert first.outcome(timeout=10) == "ok"
    assert probe.start().outcome(timeout=10) == "ok"
    assert len(calls) == 2
