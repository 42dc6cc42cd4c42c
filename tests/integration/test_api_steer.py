"""Moving jobs over HTTP: cancel, retry, delete."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection

from task_app.api.job import WholeJobSchema
from task_app.jobs.ids import new_id

from ..factories import insert_job
from .test_api_read import app, connection, start, succeed
from .test_api_submit import add_task, errors_of, problem_of

__all__ = ["app", "connection"]


@pytest.fixture
def ended(connection: Connection) -> str:
    """The id of a job that has succeeded."""
    job_id = insert_job(connection)
    start(connection, job_id)
    succeed(connection, job_id)
    return job_id


def test_a_waiting_job_is_revoked_at_once(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    response = client.post(f"/tasks/{job_id}/cancel")
    assert response.status_code == 202
    job = response.get_json()
    assert (job["task_status"], job["error"]["type"]) == ("REVOKED", "TaskRevokedError")
    assert job["finished_at"] is not None
    assert WholeJobSchema().validate(job) == {}
    problem_of(client.post(f"/tasks/{job_id}/cancel"), 409)


def test_a_running_job_is_asked_to_end(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    start(connection, job_id)
    for _ in range(2):
        response = client.post(f"/tasks/{job_id}/cancel")
        assert (response.status_code, response.get_json()["task_status"]) == (202, "STARTED")
        assert response.get_json()["cancel_requested_at"] is not None


def test_an_ended_job_runs_again(client: FlaskClient, ended: str) -> None:
    response = client.post(f"/tasks/{ended}/retry")
    job = response.get_json()
    assert response.status_code == 202
    assert (job["task_status"], job["attempt"], job["args"], job["task_result"]) == ("PENDING", 2, [1, 2], None)
    assert [attempt["state"] for attempt in job["history"]] == ["SUCCESS"]
    problem_of(client.post(f"/tasks/{ended}/retry"), 409)


def test_a_retry_of_an_attempt_can_be_repeated_and_makes_one(client: FlaskClient, ended: str) -> None:
    assert client.post(f"/tasks/{ended}/retry?attempt=1").get_json()["attempt"] == 2
    client.post(f"/tasks/{ended}/cancel")
    problem = problem_of(client.post(f"/tasks/{ended}/retry?attempt=1"), 409)
    assert problem["detail"] == f"can't retry attempt 1 of job {ended}: it is at attempt 2"
    assert client.post(f"/tasks/{ended}/retry?attempt=2").get_json()["attempt"] == 3
    assert errors_of(client.post(f"/tasks/{ended}/retry?attempt=x")).keys() == {"attempt"}


def test_a_job_runs_again_with_edited_arguments(client: FlaskClient, ended: str) -> None:
    job = client.post(f"/tasks/{ended}/retry", json={"args": [3], "kwargs": {"b": 4}}).get_json()
    assert (job["args"], job["kwargs"]) == ([3], {"b": 4})


def test_edited_arguments_are_checked_together_with_those_that_stay(client: FlaskClient, ended: str) -> None:
    def errors(body: Any) -> Any:
        return errors_of(client.post(f"/tasks/{ended}/retry", json=body))

    assert errors({"args": ["3", 4]}) == {"args": {"0": ["Not a valid integer."]}}
    assert errors({"kwargs": {"b": 4}}) == {"args": {"1": ["Given twice, by position and by name."]}}
    assert errors({"args": []}).keys() == {"kwargs"}
    assert errors({"arg": []}).keys() == {"arg"}
    assert errors({"args": ["\0"]}).keys() == {"args"}
    assert errors([]).keys()
    problem_of(client.post(f"/tasks/{ended}/retry", data="x", content_type="application/json"), 400)
    problem_of(client.post(f"/tasks/{ended}/retry", data="x", content_type="text/plain"), 415)
    assert client.get(f"/tasks/{ended}").get_json()["task_status"] == "SUCCESS"


def test_a_job_whose_task_is_gone_runs_again_only_as_it_was(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection, task="gone")
    start(connection, job_id)
    succeed(connection, job_id)
    problem_of(client.post(f"/tasks/{job_id}/retry", json={"args": [1]}), 409)
    assert client.post(f"/tasks/{job_id}/retry").status_code == 202  # another worker may know it


def test_edited_arguments_have_a_limit(app: Flask, client: FlaskClient, connection: Connection) -> None:
    def echo(text: str) -> str:
        return text

    add_task(app, echo, name="echo")
    job_id = insert_job(connection, task="echo", args='["x"]')
    start(connection, job_id)
    succeed(connection, job_id)
    text = "x" * (app.config["JOB_ARGUMENTS_LIMIT"] + 1)
    assert errors_of(client.post(f"/tasks/{job_id}/retry", json={"args": [text]})).keys() == {"args"}


def test_only_an_ended_job_can_be_deleted(client: FlaskClient, connection: Connection, ended: str) -> None:
    response = client.delete(f"/tasks/{ended}")
    assert (response.status_code, response.data) == (204, b"")
    problem_of(client.delete(f"/tasks/{ended}"), 404)
    problem_of(client.get(f"/tasks/{ended}"), 404)
    waiting = insert_job(connection)
    problem_of(client.delete(f"/tasks/{waiting}"), 409)
    start(connection, waiting)
    problem_of(client.delete(f"/tasks/{waiting}"), 409)


@pytest.mark.parametrize(("method", "action"), [("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")])
def test_an_unknown_job_cannot_be_moved(client: FlaskClient, method: str, action: str) -> None:
    problem_of(client.open(f"/tasks/{new_id()}{action}", method=method), 404)
