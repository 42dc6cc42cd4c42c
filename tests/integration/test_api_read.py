"""Reading jobs over HTTP: one, pages of them, the tasks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, event

from task_app.api.job import JobPageSchema, LinksSchema, WholeJobSchema
from task_app.extensions import db
from task_app.jobs import faults, transitions
from task_app.jobs.ids import new_id
from task_app.jobs.runtime import JobRuntime
from task_app.jobs.states import State
from task_app.web import cursor

from ..factories import insert_job
from .test_api_submit import errors_of, problem_of

NOW = datetime.now(UTC)
MOMENT = datetime(2030, 1, 31, tzinfo=UTC)
ODD_IDS = [
    "nope",
    "00000000-0000-0000-0000-000000000000",
    "%00",
    "a%00b",
    "%F0%9F%98%80",
    "%ff%fe",
    "%20",
    "x" * 156,
    "x" * 5000,
    "'%3B--",
    "..",
    "%7F",
]


@pytest.fixture
def app(every_database: Flask) -> Flask:
    """The app of each database in turn: they differ in what they can compare and keep."""
    return every_database


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    """A connection of the kernel's engine."""
    runtime: JobRuntime = app.extensions["jobs"]
    with runtime.engine.connect() as connection:
        yield connection


@contextmanager
def statements(app: Flask) -> Iterator[list[str]]:
    """Collect what all engines of the app execute."""
    seen: list[str] = []
    with app.app_context():
        engines: list[Engine] = [app.extensions["jobs"].engine, db.engine]

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


def start(connection: Connection, job_id: str) -> None:
    assert transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life", now=datetime.now(UTC))


def succeed(connection: Connection, job_id: str, result: str = "3") -> None:
    assert transitions.succeed(connection, job_id, 1, result=result, children=None, now=datetime.now(UTC))


def test_showing_a_job_costs_one_query(app: Flask, client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    client.get(f"/tasks/{job_id}")
    with statements(app) as seen:
        assert client.get(f"/tasks/{job_id}").status_code == 200
    assert len(seen) == 1, seen


def test_the_schema_documents_exactly_what_is_shown(client: FlaskClient, connection: Connection) -> None:
    waiting, running, ended, failed = (insert_job(connection) for _ in range(4))
    for job_id in (running, ended, failed):
        start(connection, job_id)
    transitions.report(connection, running, 1, state="UPLOADING", meta='{"current": 1, "total": 4, "message": "m"}')
    succeed(connection, ended, '{"a": [1]}')
    error = faults.fault("ValueError", "builtins", ["no"], "no")
    transitions.end_badly(connection, failed, 1, state=State.FAILURE, error=error, now=NOW)
    for job_id in (waiting, running, ended, failed):
        job = client.get(f"/tasks/{job_id}").get_json()
        assert WholeJobSchema().validate(job) == {}
        assert list(job) == list(WholeJobSchema().fields)
        assert list(job["links"]) == list(LinksSchema().fields)
    assert client.get(f"/tasks/{running}").get_json()["progress"] == {
        "current": 1,
        "total": 4,
        "percent": 25.0,
        "message": "m",
    }
    assert client.get(f"/tasks/{ended}").get_json()["task_result"] == {"a": [1]}
    assert client.get(f"/tasks/{failed}").get_json()["error"]["message"] == "no"
    assert JobPageSchema().validate(client.get("/tasks").get_json()) == {}


def test_progress_of_any_size_is_shown(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    start(connection, job_id)
    for current, total in ((10**400, 1), (1, 10**400), (-1, 0), (5, 1)):
        meta = f'{{"current": {current}, "total": {total}}}'
        assert transitions.report(connection, job_id, 1, state=State.PROGRESS, meta=meta)
        assert client.get(f"/tasks/{job_id}").status_code == 200


def test_links_lead_somewhere_under_any_mount_point(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection, id="odd/id?#")
    job = client.get("/tasks", environ_overrides={"SCRIPT_NAME": "/jobs"}).get_json()["tasks"][0]
    assert job["task_id"] == job_id
    assert job["links"]["self"] == "/jobs/tasks/odd%2Fid%3F%23"


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_id_that_does_not_exist_is_not_found(client: FlaskClient, odd: str) -> None:
    problem_of(client.get(f"/tasks/{odd}"), 404)
    problem_of(client.get(f"/tasks/{odd}?wait=1"), 404)
    problem_of(client.get(f"/tasks/{odd}/events"), 404)
    problem_of(client.post(f"/tasks/{odd}/cancel"), 404)
    problem_of(client.post(f"/tasks/{odd}/retry"), 404)
    problem_of(client.post(f"/tasks/{odd}/retry", json={"args": [1]}), 404)
    problem_of(client.delete(f"/tasks/{odd}"), 404)


def test_extremes_come_back_from_every_database(client: FlaskClient) -> None:
    tag = "😀" * 100
    job = {
        "task": "send_email",
        "kwargs": {"to": "a@example.org", "subject": "ünï😀\\u0000", "body": "\r\n\t\x7f\u2028"},
        "eta": "9998-12-31T23:59:59.999999Z",
        "tags": [tag, "a b", "a"],
    }
    accepted = client.post("/tasks", json=job)
    assert accepted.status_code == 202, accepted.text
    shown = client.get(accepted.headers["Location"]).get_json()
    assert shown["kwargs"] == job["kwargs"]
    assert shown["due_at"] == job["eta"]
    assert ids_of(client, f"tag={tag}") == ids_of(client, "tag=a%20b") == [shown["task_id"]]
    assert ids_of(client, "tag=A") == []


# -- waiting -----------------------------------------------------------------------------------------------------


def test_waiting_ends_when_the_job_does(app: Flask, client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    start(connection, job_id)
    looked = threading.Event()
    answers: list[Any] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "job.version" in statement and "job.args" not in statement:
            looked.set()

    runtime: JobRuntime = app.extensions["jobs"]
    event.listen(runtime.engine, "after_cursor_execute", note)
    waiter = threading.Thread(target=lambda: answers.append(client.get(f"/tasks/{job_id}?wait=50")))
    waiter.start()
    assert looked.wait(10), "it does not look whether the job has changed"
    succeed(connection, job_id)
    waiter.join(10)
    assert [answer.get_json()["task_status"] for answer in answers] == ["SUCCESS"]


def test_waiting_ends_when_the_time_is_up(client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    answer = client.get(f"/tasks/{job_id}?wait=0.1")
    assert (answer.status_code, answer.get_json()["task_status"]) == (200, "PENDING")


def test_waiting_for_an_ended_job_is_one_query(app: Flask, client: FlaskClient, connection: Connection) -> None:
    job_id = insert_job(connection)
    start(connection, job_id)
    succeed(connection, job_id)
    with statements(app) as seen:
        assert client.get(f"/tasks/{job_id}?wait=60").status_code == 200
    assert len(seen) == 1


@pytest.mark.parametrize("wait", ["-1", "61", "x", "nan", "inf", "1e999", "", "%00", "true"])
def test_an_absurd_wait_is_refused(client: FlaskClient, connection: Connection, wait: str) -> None:
    job_id = insert_job(connection)
    assert errors_of(client.get(f"/tasks/{job_id}?wait={wait}")).keys() == {"wait"}
    assert errors_of(client.get(f"/tasks/{job_id}?waits=1")).keys() == {"waits"}


# -- lists -------------------------------------------------------------------------------------------------------


def ids_of(client: FlaskClient, query: str = "") -> list[str]:
    response = client.get(f"/tasks?{query}")
    assert response.status_code == 200, response.text
    return [job["task_id"] for job in response.get_json()["tasks"]]


def test_lists_are_newest_first_and_filtered(client: FlaskClient, connection: Connection) -> None:
    old = insert_job(connection, created_at=NOW - timedelta(days=2), task="block", queue="mail")
    mid = insert_job(connection, created_at=NOW - timedelta(days=1), tags='["a", "ü"]', state="UPLOADING", worker="w@h")
    new = insert_job(connection, created_at=NOW, tags='["a"]')
    assert ids_of(client) == [new, mid, old]
    assert ids_of(client, "task=block") == ids_of(client, "queue=mail") == [old]
    assert ids_of(client, "status=UPLOADING") == ids_of(client, "worker=w@h") == ids_of(client, "tag=%C3%BC") == [mid]
    assert ids_of(client, "tag=a") == [new, mid]
    assert ids_of(client, "tag=a&status=PENDING&task=add") == [new]
    assert ids_of(client, "status=pending") == ids_of(client, "tag=%F0%9F%98%80") == []
    after = (NOW - timedelta(days=1, hours=1)).isoformat()
    for moment in (after, after.replace("+", "%2B"), after.replace("+00:00", "Z")):
        assert ids_of(client, f"created_after={moment}") == [new, mid]
        assert ids_of(client, f"created_before={moment}") == [old]
        assert ids_of(client, f"tag=a&created_before={moment}") == []


def test_more_filters_find_what_they_say(client: FlaskClient, connection: Connection) -> None:
    failed = insert_job(
        connection, state="FAILURE", error_type="ValueError", finished_at=NOW, kwargs='{"user_id":42,"name":"a b"}'
    )
    mended = insert_job(connection, state="FAILURE", finished_at=NOW, resolved_at=NOW, parent_id=failed)
    waits = insert_job(connection, group_id="g", args="[42]", kwargs='{"user_id":"42"}')
    runs = insert_job(connection, id="my-own-1", state="UPLOADING", worker="w@h")
    assert ids_of(client, "status=finished") == [mended, failed]
    assert (ids_of(client, "status=waiting"), ids_of(client, "status=running")) == ([waits], [runs])
    assert ids_of(client, "error=ValueError") == ids_of(client, "resolved=false") == [failed]
    assert ids_of(client, "resolved=true") == ids_of(client, f"parent={failed}") == [mended]
    assert (ids_of(client, "group=g"), ids_of(client, "id=my-own")) == ([waits], [runs])
    assert ids_of(client, "argument=kwargs.user_id%3D42") == [waits, failed]
    assert (ids_of(client, "argument=args.0=42"), ids_of(client, "argument=name=a%20b")) == ([waits], [failed])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("argument=user_id", "argument"),
        ("argument==1", "argument"),
        ("argument=a..b=1", "argument"),
        ("resolved=maybe", "resolved"),
        ("id=a%20b", "id"),
        ("id=%C3%BC", "id"),
        ("parent=", "parent"),
        ("group=%00", "group"),
        ("error=", "error"),
    ],
)
def test_absurd_filters_are_refused(client: FlaskClient, query: str, field: str) -> None:
    assert errors_of(client.get(f"/tasks?{query}")).keys() == {field}


def test_pages_hold_every_job_once_even_when_they_were_made_at_the_same_moment(
    client: FlaskClient, connection: Connection
) -> None:
    ids = sorted((new_id() for _ in range(7)), reverse=True)
    for job_id in ids:
        insert_job(connection, id=job_id, created_at=NOW, tags='["a b&c"]')
    for query in ("limit=3", "limit=3&tag=a%20b%26c"):
        url: str | None = f"/tasks?{query}"
        found: list[list[str]] = []
        while url:
            response = client.get(url)
            page = response.get_json()
            found.append([job["task_id"] for job in page["tasks"]])
            url = page["next"]
            assert (page["next_cursor"] is None) == (url is None)
            assert response.headers.get("Link") == (url and f'<{url}>; rel="next"')
            # What is added meanwhile comes before the pages that are still to come, and moves none of them.
            insert_job(connection, tags='["a b&c"]')
        assert found[0][0] not in ids or found == [ids[:3], ids[3:6], ids[6:]]
        assert [job_id for page in found for job_id in page if job_id in ids] == ids


def test_a_page_that_is_just_full_is_the_last(client: FlaskClient, connection: Connection) -> None:
    for _ in range(2):
        insert_job(connection)
    assert client.get("/tasks?limit=2").get_json()["next"] is None


def test_a_list_costs_one_query(app: Flask, client: FlaskClient, connection: Connection) -> None:
    for _ in range(3):
        insert_job(connection)
    with statements(app) as seen:
        assert len(ids_of(client)) == 3
    assert len(seen) == 1


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1.5",
        "limit=" + "9" * 5000,
        "status=",
        "status=" + "x" * 256,
        "task=%00",
        "tag=a%00",
        "worker=%00",
        "queue=%00",
        "created_after=yesterday",
        "created_after=2030-01-31T12:00:00",
        "created_before=0001-01-01T00:00:00%2B23:59",
        "created_before=9999-12-31T23:59:59-23:59",
        "state=SUCCESS",
        "cursor=",
        "cursor=x",
        "cursor=%00",
        "cursor=%F0%9F%98%80",
        "cursor=" + "x" * 5000,
        "cursor=" + cursor.encode((MOMENT, "a")) + "x",
        "cursor=" + cursor.encode((MOMENT, "a\0")),
        "cursor=" + cursor.encode((MOMENT, "")),
        "cursor=" + cursor.encode((MOMENT, "ü")),
        "cursor=OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTkuYQ",
        "cursor=bmFuLmE",
    ],
)
def test_an_absurd_query_is_refused(client: FlaskClient, query: str) -> None:
    assert errors_of(client.get(f"/tasks?{query}")).keys() == {query.partition("=")[0]}


def test_bytes_that_are_no_text_do_no_harm(client: FlaskClient) -> None:
    for query in (b"status=\xff\xfe", b"\xff=1", b"cursor=\xe2\x82", b"%ff=%fe"):
        response = client.get("/tasks", environ_overrides={"QUERY_STRING": query.decode("latin-1")})
        problem_of(response, 422 if b"%" in query else 400)


def test_cursors_keep_their_place() -> None:
    for place in ((NOW, "a"), (datetime(1970, 1, 1, tzinfo=UTC), "~" * 155), (datetime(9998, 1, 1, tzinfo=UTC), "x.y")):
        assert cursor.decode(cursor.encode(place)) == place
