"""Queues over HTTP: what waits, and pausing."""

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection

from task_app.api.queues import QueueSchema
from task_app.jobs import transitions

from ..factories import insert_job
from .test_api_read import app, connection
from .test_api_submit import problem_of

__all__ = ["app", "connection"]


def test_queues_are_listed_with_what_waits_in_them(client: FlaskClient, connection: Connection) -> None:
    assert client.get("/task-queues").get_json() == []
    job_id = insert_job(connection, queue="slow")
    transitions.mark_published(connection, [(job_id, 1)], datetime.now(UTC) - timedelta(minutes=1))
    client.post("/task-queues/fast/pause")
    response = client.get("/task-queues")
    assert response.status_code == 200
    fast, slow = response.get_json()
    assert QueueSchema(many=True).validate([fast, slow]) == {}
    assert (slow["queue"], slow["waiting"], slow["listeners"], slow["paused_at"]) == ("slow", 1, [], None)
    assert (fast["queue"], fast["waiting"], fast["oldest_at"]) == ("fast", 0, None) and fast["paused_at"]


def test_pausing_and_resuming_may_be_repeated(client: FlaskClient) -> None:
    first, second = (client.post("/task-queues/slow/pause") for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.get_json() == second.get_json()
    assert first.get_json()["paused_at"] is not None and first.get_json()["paused_by"] is None
    third, fourth = (client.post("/task-queues/slow/resume") for _ in range(2))
    assert (third.status_code, fourth.status_code) == (202, 200)
    assert third.get_json() == fourth.get_json()
    assert (third.get_json()["queue"], third.get_json()["paused_at"]) == ("slow", None)


@pytest.mark.parametrize("name", ["a/b", "with space", "größer", "x" * 255])
def test_any_name_that_a_queue_can_have_may_be_paused(client: FlaskClient, name: str) -> None:
    assert client.post(f"/task-queues/{name}/pause").get_json()["queue"] == name
    assert client.post(f"/task-queues/{name}/resume").status_code == 202


@pytest.mark.parametrize("name", ["x" * 256, "a%00", "a%07", "%20a", "a%20"])
@pytest.mark.parametrize("action", ["pause", "resume"])
def test_no_other_name_is(client: FlaskClient, name: str, action: str) -> None:
    problem_of(client.post(f"/task-queues/{name}/{action}"), 422)
    assert client.get("/task-queues").get_json() == []
