"""The streams of pages: they say that something has changed, and no more."""

from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import Connection

from task_app.dashboard import live
from task_app.jobs.lookout import fingerprint
from task_app.web import streams
from task_app.web.watchers import Watchers

from ..factories import insert_job
from .test_api_events import Stream
from .test_api_read import connection, start, succeed

__all__ = ["connection"]


#: What is sent while nothing changes.
BEAT = {"event": "beat", "data": "{}"}


class LiveStream(Stream):
    """An open stream of a page; its first line is read already."""

    def __init__(self, client: FlaskClient, path: str, seen: str | None = None) -> None:
        super().__init__(client, "", seen, path=f"/live/{path}")
        assert self.response.status_code == 200
        assert self.next() == {"retry": "2000"}

    def changed(self) -> str:
        """Return the fingerprint with the next change."""
        message = self.next()
        while message == BEAT:
            message = self.next()
        assert message.keys() == {"id", "event", "data"} and (message["event"], message["data"]) == ("changed", "{}")
        return message["id"]


PAGES = ["overview", "jobs", "jobs?status=PENDING", "job?job_id={job_id}"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_told_of_changes(client: FlaskClient, connection: Connection, path: str) -> None:
    job_id = insert_job(connection)
    events = LiveStream(client, path.format(job_id=job_id))
    first = events.changed()
    start(connection, job_id)
    second = events.changed()
    succeed(connection, job_id)
    assert len({first, second, events.changed()} if "PENDING" not in path else {first, second, ""}) == 3


def test_what_is_not_on_the_page_is_no_news(
    client: FlaskClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.6)
    events = LiveStream(client, "jobs?queue=mine")
    events.changed()
    insert_job(connection, queue="another")
    assert events.next() == BEAT
    insert_job(connection, queue="mine")
    events.changed()


@pytest.mark.parametrize("how", ["header", "query"])
def test_who_has_seen_it_waits_for_the_next_change(
    client: FlaskClient, connection: Connection, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.1)
    job_id = insert_job(connection)
    first = LiveStream(client, "jobs")
    seen = first.changed()
    first.response.close()
    events = LiveStream(client, "jobs", seen) if how == "header" else LiveStream(client, f"jobs?seen={seen}")
    assert events.next() == BEAT
    start(connection, job_id)
    assert events.changed() != seen


def test_a_page_that_begins_knows_what_it_shows(app: Flask, client: FlaskClient, connection: Connection) -> None:
    insert_job(connection)
    stream_id = LiveStream(client, "jobs?queue=celery").changed()
    with app.test_request_context("/jobs?queue=celery&cursor=a%26b"):
        live.begin("jobs")
        assert g.live_url == "/live/jobs?queue=celery&cursor=a%26b"
        assert g.live_seen == stream_id
    with app.test_request_context("/jobs/7"):
        live.begin("job", job_id="a&b=c")
        assert (g.live_url, g.live_seen) == ("/live/job?job_id=a%26b%3Dc", fingerprint(None))


def test_a_page_that_fetches_itself_takes_no_look(app: Flask) -> None:
    with app.test_request_context("/jobs", headers={"X-Live": "1"}):
        live.begin("jobs")
        assert g.live_url and "live_seen" not in g


def test_unknown_pages_have_no_stream(client: FlaskClient) -> None:
    assert client.get("/live/nothing").status_code == 404


def test_a_stream_too_many_is_refused(app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.extensions, "watchers", Watchers(1))
    first = LiveStream(client, "overview")
    refused = client.get("/live/overview")
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 0
    first.response.close()
    LiveStream(client, "overview").response.close()


def test_a_job_that_is_not_there_can_be_watched(client: FlaskClient, connection: Connection) -> None:
    events = LiveStream(client, "job?job_id=7f0e6a6e-2f2b-4f7c-9b54-1d2f7f9f0001")
    nothing = events.changed()
    insert_job(connection, id="7f0e6a6e-2f2b-4f7c-9b54-1d2f7f9f0001")
    assert events.changed() != nothing


def test_looks_of_different_pages_with_equal_keys_are_not_mixed_up(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def maker(shown: str) -> Any:
        return lambda args: (None, lambda connection: shown)

    for name in ("one", "other"):
        monkeypatch.setitem(live._makers, name, maker(name))
    one, other = LiveStream(client, "one"), LiveStream(client, "other")
    assert (one.changed(), other.changed()) == (fingerprint("one"), fingerprint("other"))


def test_a_stream_ends_after_a_while_and_goes_on_where_it_was(
    client: FlaskClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST", 0.0)
    insert_job(connection)
    events = LiveStream(client, "jobs")
    seen = events.changed()
    assert events.next() == {"event": "bye", "data": "{}"}
    assert events.is_over()
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    again = LiveStream(client, "jobs", seen)
    assert again.next() == BEAT
