"""Server-sent events of a job."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from task_app.jobs import transitions
from task_app.jobs.runtime import JobRuntime, utcnow
from task_app.jobs.states import State
from task_app.web import streams

from ..acceptance.stack import until
from ..factories import insert_job
from .test_api_read import connection, start, succeed

__all__ = ["connection"]


class Stream:
    """An open stream of events, read one by one: each read waits until the server has something to say."""

    def __init__(self, client: FlaskClient, job_id: str, seen: Any = None, path: str | None = None) -> None:
        headers = {} if seen is None else {"Last-Event-ID": str(seen)}
        self.response = client.get(path or f"/tasks/{job_id}/events", headers=headers)
        self._chunks: Iterator[bytes] = self.response.iter_encoded()

    def next(self) -> dict[str, str]:
        """Return the fields of the next message; a comment is the field ""."""
        lines = next(self._chunks).decode().removesuffix("\n\n").split("\n")
        return {name: value.removeprefix(" ") for name, _, value in (line.partition(":") for line in lines)}

    def event(self) -> tuple[str, Any]:
        """Return the name of the next event, and its data."""
        message = self.next()
        return message["event"], json.loads(message["data"])

    def is_over(self) -> bool:
        return next(self._chunks, None) is None


@pytest.fixture
def job_id(connection: Connection) -> str:
    """The id of a waiting job."""
    return insert_job(connection)


def test_a_job_is_followed_to_its_outcome(client: FlaskClient, connection: Connection, job_id: str) -> None:
    events = Stream(client, job_id)
    assert events.response.status_code == 200
    assert events.response.mimetype == "text/event-stream"
    assert events.response.headers["Cache-Control"] == "no-cache"
    assert events.response.headers["X-Accel-Buffering"] == "no"
    assert events.next() == {"retry": "2000"}
    first = events.next()
    assert (first["id"], first["event"]) == ("1", "job")
    assert json.loads(first["data"]) == client.get(f"/tasks/{job_id}").get_json()
    start(connection, job_id)
    assert events.event()[1]["task_status"] == "STARTED"
    transitions.report(connection, job_id, 1, state=State.PROGRESS, meta='{"current": 1, "total": 2}')
    assert events.event()[1]["progress"]["percent"] == 50
    succeed(connection, job_id)
    name, job = events.event()
    assert (name, job["task_status"], job["task_result"]) == ("end", "SUCCESS", 3)
    assert events.is_over()


def test_what_was_seen_is_not_sent_again(client: FlaskClient, connection: Connection, job_id: str) -> None:
    start(connection, job_id)
    events = Stream(client, job_id, seen=2)
    events.next()
    succeed(connection, job_id)
    message = events.next()
    assert (message["id"], message["event"]) == ("3", "end")
    assert events.is_over()


def test_what_changed_while_the_client_was_away_is_sent(
    client: FlaskClient, connection: Connection, job_id: str
) -> None:
    start(connection, job_id)
    events = Stream(client, job_id, seen=1)
    events.next()
    assert events.event()[1]["task_status"] == "STARTED"


@pytest.mark.parametrize("seen", [None, 1, 3, 99])
def test_an_ended_job_sends_its_outcome(
    client: FlaskClient, connection: Connection, job_id: str, seen: int | None
) -> None:
    start(connection, job_id)
    succeed(connection, job_id)
    events = Stream(client, job_id, seen)
    events.next()
    assert events.event()[0] == "end"
    assert events.is_over()


@pytest.mark.parametrize("seen", ["x", "", "-1", "1.0", "9" * 5000, "¹", "\x7f"])
def test_a_strange_last_event_id_is_ignored(client: FlaskClient, job_id: str, seen: str) -> None:
    events = Stream(client, job_id, seen)
    events.next()
    assert events.event()[0] == "job"


def test_a_deleted_job_ends_its_stream(client: FlaskClient, connection: Connection, job_id: str) -> None:
    events = Stream(client, job_id)
    events.next()
    events.event()
    transitions.cancel_waiting(connection, job_id, error={"type": "x"}, now=utcnow())
    assert transitions.delete_ended(connection, job_id)
    assert events.event() == ("gone", {})
    assert events.is_over()


def test_silence_is_broken_by_heartbeats_and_costs_no_connection(
    app: Flask, client: FlaskClient, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    events = Stream(client, job_id)
    events.next()
    events.event()
    runtime: JobRuntime = app.extensions["jobs"]
    for _ in range(3):
        assert events.next() == {"": "heartbeat"}
        # This test's own; the feed's is back after each look.
        until(lambda: runtime.engine.pool.checkedout() == 1, "one connection")  # type: ignore[attr-defined]


def test_a_stream_outlives_a_database_that_is_away(
    app: Flask, client: FlaskClient, connection: Connection, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    events = Stream(client, job_id)
    events.next()
    events.event()
    start(connection, job_id)
    runtime: JobRuntime = app.extensions["jobs"]
    failures = 3

    def fail(*args: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OperationalError("SELECT", {}, Exception("away"))

    event.listen(runtime.engine, "before_cursor_execute", fail)
    assert events.event()[1]["task_status"] == "STARTED"
    assert caplog.text.count("no news of") == 3
