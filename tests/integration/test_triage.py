"""Failures: grouped by what went wrong, resolved, and open again when somebody retries."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine

from task_app.api.failures import FailuresSchema
from task_app.errors import IllegalMove, JobNotFound
from task_app.jobs import faults, service, transitions, triage
from task_app.jobs.runtime import JobRuntime
from task_app.jobs.states import State

from ..factories import insert_job
from .test_api_submit import errors_of, problem_of

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def failed(connection: Connection, error: str = "ValueError", task: str = "add", ago: float = 0, **more: Any) -> str:
    """Insert a job that was submitted, and failed, so many hours ago."""
    at = NOW - ago * HOUR
    stored = json.dumps(faults.fault(error, "builtins", [], f"{error} {ago}\nand more"))
    values = {"state": State.FAILURE, "error_type": error, "error": stored, "created_at": at, "finished_at": at}
    return insert_job(connection, task=task, **(values | more))


def test_failures_are_grouped_by_type_and_task(connection: Connection) -> None:
    for ago in (3, 1, 2):
        failed(connection, ago=ago)
    newest = failed(connection, ago=0.5)
    other = failed(connection, "KeyError", ago=1)
    third = failed(connection, task="mail", ago=100)
    failed(connection, resolved_at=NOW)
    insert_job(connection, state=State.REVOKED, error_type="TaskRevokedError", finished_at=NOW)
    found = triage.failures(connection)
    assert [(group.error, group.task, group.count, group.newest) for group in found.groups] == [
        ("ValueError", "add", 4, newest),
        ("KeyError", "add", 1, other),
        ("ValueError", "mail", 1, third),
    ]
    first = found.groups[0]
    assert (first.first_at, first.last_at, first.message) == (NOW - 3 * HOUR, NOW - HOUR / 2, "ValueError 0.5")
    assert (found.count, found.at_least, found.submitted_since) == (6, False, None)
    assert [group.count for group in triage.failures(connection, NOW - 2.5 * HOUR).groups] == [3, 1]
    assert [group.count for group in triage.failures(connection, resolved=True).groups] == [1]
    assert triage.failures(connection, resolved=None).count == 7
    assert triage.failures(connection, NOW).groups == []


def test_what_failed_late_belongs_to_the_window(connection: Connection) -> None:
    failed(connection, ago=100, finished_at=NOW)
    assert triage.failures(connection, NOW - HOUR).count == 1


def test_the_reach_is_told(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for ago in range(5):
        failed(connection, ago=ago, task=f"task.{ago}")
    found = triage.failures(connection, reach=3)
    assert (found.count, found.at_least, found.submitted_since) == (3, True, NOW - 2 * HOUR)
    assert triage.failures(connection, NOW - HOUR * 1.5, reach=3).at_least is False
    monkeypatch.setattr(triage, "GROUPS", 2)
    cut = triage.failures(connection, reach=3)
    assert (len(cut.groups), cut.count) == (2, 3)


@pytest.fixture
def app(every_database: Flask) -> Flask:
    return every_database


def test_a_failure_is_resolved_until_it_is_retried(client: FlaskClient, app: Flask) -> None:
    runtime: JobRuntime = app.extensions["jobs"]
    with runtime.engine.connect() as connection:
        job_id = failed(connection)
    shown = client.get("/task-failures?window=all").get_json()
    assert FailuresSchema().validate(shown) == {}
    assert (shown["groups"][0]["newest_task_id"], shown["count"]) == (job_id, 1)
    first = client.post(f"/tasks/{job_id}/resolve").get_json()["resolved_at"]
    assert first is not None
    assert client.post(f"/tasks/{job_id}/resolve").get_json()["resolved_at"] == first, "it may be said twice"
    assert client.get("/task-failures").get_json()["groups"] == []
    assert client.get("/task-failures?resolved=true").get_json()["count"] == 1
    assert client.delete(f"/tasks/{job_id}/resolve").get_json()["resolved_at"] is None
    assert client.delete(f"/tasks/{job_id}/resolve").status_code == 200
    client.post(f"/tasks/{job_id}/resolve")
    again = client.post(f"/tasks/{job_id}/retry").get_json()
    assert (again["resolved_at"], again["attempt"]) == (None, 2)
    problem_of(client.post(f"/tasks/{job_id}/resolve"), 409)
    problem_of(client.delete(f"/tasks/{job_id}/resolve"), 409)
    problem_of(client.post("/tasks/nobody/resolve"), 404)
    assert errors_of(client.get("/task-failures?window=year")).keys() == {"window"}


def test_only_failures_are_resolved(app: Flask) -> None:
    runtime: JobRuntime = app.extensions["jobs"]
    with app.app_context(), runtime.engine.connect() as connection:
        ended = insert_job(connection, state=State.SUCCESS, finished_at=NOW)
        with pytest.raises(IllegalMove, match="can't resolve"):
            service.resolve(ended)
        with pytest.raises(JobNotFound):
            service.resolve("nobody")
        assert not transitions.resolve(connection, ended, now=NOW)
