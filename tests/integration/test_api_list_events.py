"""Server-sent events of a page of jobs."""

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from task_app.jobs import transitions
from task_app.jobs.runtime import JobRuntime, utcnow
from task_app.web import streams

from ..factories import insert_job
from .test_api_events import Stream
from .test_api_read import connection, start, succeed

__all__ = ["connection"]


class ListStream(Stream):
    """An open stream of a page's events; its first line is read already."""

    def __init__(self, client: FlaskClient, query: str = "", seen: Any = None) -> None:
        super().__init__(client, "", seen, path=f"/task-events?{query}")
        assert self.next() == {"retry": "2000"}


def ids(jobs: list[dict[str, Any]]) -> list[str]:
    return [job["task_id"] for job in jobs]


def end_and_delete(connection: Connection, job_id: str) -> None:
    transitions.cancel_waiting(connection, job_id, error={"type": "x"}, now=utcnow())
    assert transitions.delete_ended(connection, job_id)


def test_a_page_is_followed(client: FlaskClient, connection: Connection) -> None:
    old, new = insert_job(connection), insert_job(connection)
    events = ListStream(client)
    assert events.response.status_code == 200
    assert events.response.mimetype == "text/event-stream"
    assert events.response.headers["Cache-Control"] == "no-cache"
    name, data = events.event()
    assert (name, data) == ("page", {"tasks": client.get("/tasks").get_json()["tasks"]})
    assert ids(data["tasks"]) == [new, old]
    start(connection, old)
    name, data = events.event()
    assert (name, ids(data["tasks"]), data["left"]) == ("change", [old], [])
    assert data["tasks"] == [job for job in client.get("/tasks").get_json()["tasks"] if job["task_id"] == old]
    newest = insert_job(connection)
    assert ids(events.event()[1]["tasks"]) == [newest]
    end_and_delete(connection, new)
    assert events.event() == ("change", {"tasks": [], "left": [new]})


def test_what_leaves_a_filter_or_is_pushed_off_the_page_has_left(client: FlaskClient, connection: Connection) -> None:
    first, second = insert_job(connection), insert_job(connection, queue="other")
    events = ListStream(client, "status=PENDING&limit=1&queue=celery")
    assert ids(events.event()[1]["tasks"]) == [first]
    third = insert_job(connection)
    name, data = events.event()
    assert (name, ids(data["tasks"]), data["left"]) == ("change", [third], [first])
    start(connection, third)
    assert ids((back := events.event()[1])["tasks"]) == [first] and back["left"] == [third]
    assert second not in ids(client.get("/tasks?queue=celery").get_json()["tasks"])


def test_a_later_page_can_be_followed(client: FlaskClient, connection: Connection) -> None:
    old, _ = insert_job(connection), insert_job(connection)
    cursor = client.get("/tasks?limit=1").get_json()["next_cursor"]
    assert ids(ListStream(client, f"limit=1&cursor={cursor}").event()[1]["tasks"]) == [old]


def test_who_has_seen_the_page_is_told_of_changes_only(
    client: FlaskClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.1)
    job_id, _ = insert_job(connection), insert_job(connection)
    seen = (first := ListStream(client)).next()["id"]
    first.response.close()
    events = ListStream(client, seen=seen)
    assert events.next() == {"": "heartbeat"}
    start(connection, job_id)
    while (message := events.next()) == {"": "heartbeat"}:
        pass
    assert (message["event"], ids(json.loads(message["data"])["tasks"])) == ("change", [job_id])
    again = ListStream(client, seen=seen)
    message = again.next()
    assert message["event"] == "page" and message["id"] != seen


def test_an_empty_page_is_sent_too(client: FlaskClient) -> None:
    assert ListStream(client, "task=nobody").event() == ("page", {"tasks": []})


def test_jobs_that_have_not_changed_are_not_read_again(app: Flask, client: FlaskClient, connection: Connection) -> None:
    job_id, _ = insert_job(connection), insert_job(connection)
    streams_of_two = [ListStream(client), ListStream(client)]
    for events in streams_of_two:
        events.event()
    whole: list[Any] = []
    runtime: JobRuntime = app.extensions["jobs"]

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        if "job.args" in statement:
            whole.append(parameters)

    event.listen(runtime.engine, "before_cursor_execute", note)
    start(connection, job_id)
    assert [ids(events.event()[1]["tasks"]) for events in streams_of_two] == [[job_id], [job_id]]
    event.remove(runtime.engine, "before_cursor_execute", note)
    assert whole == [(job_id,)], "once for all who watch"


def test_a_stream_outlives_a_database_that_is_away(
    app: Flask, client: FlaskClient, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = insert_job(connection)
    events = ListStream(client)
    events.event()
    start(connection, job_id)
    runtime: JobRuntime = app.extensions["jobs"]
    failures = 2

    def fail(*args: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OperationalError("SELECT", {}, Exception("away"))

    event.listen(runtime.engine, "before_cursor_execute", fail)
    assert events.event()[1]["tasks"][0]["task_status"] == "STARTED"
    assert caplog.text.count("no look at") == 2


def test_a_job_that_ends_is_sent_with_its_outcome(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    events = ListStream(client)
    events.event()
    start(connection, job_id)
    succeed(connection, job_id)
    (job,) = events.event()[1]["tasks"]
    while job["task_status"] != "SUCCESS":
        (job,) = events.event()[1]["tasks"]
    assert job["task_result"] == 3


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=nothing", "unknown=1", "created_after=yesterday"])
def test_a_wrong_query_is_refused(client: FlaskClient, query: str) -> None:
    refused = client.get(f"/task-events?{query}")
    assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")
