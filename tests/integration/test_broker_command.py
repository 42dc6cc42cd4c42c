"""`flask broker`, with a real embedded broker."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from task_app import create_app, embedded

from ..conftest import dispose, settings_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no embedded broker on Windows")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[FlaskCliRunner]:
    app: Flask = create_app(settings_for(tmp_path, CELERY_BROKER_URL=None))
    yield app.test_cli_runner()
    embedded.stop(app.instance_path)
    dispose(app)


def test_asking_for_the_broker_does_not_start_it(runner: FlaskCliRunner) -> None:
    for _ in range(2):
        asked = runner.invoke(args=["broker", "status"])
        assert (asked.exit_code, asked.output) == (3, "The embedded broker does not run.\n")


def test_the_broker_is_seen_and_stopped(runner: FlaskCliRunner) -> None:
    instance = runner.app.instance_path
    embedded.ensure_running(instance)
    found = embedded.status(instance)
    assert found is not None
    asked = runner.invoke(args=["broker", "status"])
    assert (asked.exit_code, asked.output) == (0, f"The embedded broker runs: process {found.pid}, 0 clients.\n")
    stopped = runner.invoke(args=["broker", "stop"])
    assert (stopped.exit_code, stopped.output) == (0, "The embedded broker does not run any more.\n")
    assert embedded.status(instance) is None


def test_stopping_twice_is_fine(runner: FlaskCliRunner) -> None:
    assert [runner.invoke(args=["broker", "stop"]).exit_code for _ in range(2)] == [0, 0]
