"""Large arguments and results are packed in the row, and nobody who reads the row can tell."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from flask import Flask
from flask.testing import FlaskClient
from kombu import Connection as Broker
from kombu.exceptions import DecodeError
from sqlalchemy import Connection, Engine, select, text, update

from task_app.errors import Unpublishable, ValueUnreadable
from task_app.extensions import db
from task_app.jobs import faults, lists, queries, service, transitions, triage
from task_app.jobs.family import family
from task_app.jobs.lists import Filter
from task_app.jobs.models import Job
from task_app.jobs.packing import MARK
from task_app.jobs.runtime import runtime
from task_app.jobs.states import State
from task_app.mirror.plain import _CatchingTransport
from task_app.mirror.publisher import CeleryPublisher

from ..factories import insert_job, job_row

NOW = datetime.now(UTC).replace(microsecond=0)
#: Some 200 KB that a compressor can do something with, and a name to look for at the end.
ROWS = [{"id": number, "name": f"customer {number * 7919 % 100_003}"} for number in range(5000)]
BIG = json.dumps([ROWS, {"name": "needle-in-it"}])
BIG_OBJECT = json.dumps({"rows": ROWS, "user": "needle-in-it"})


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def stored(connection: Connection, job_id: str, column: str) -> str:
    """Return a column as the database has it."""
    found: str = connection.execute(text(f"SELECT {column} FROM job WHERE id = :id"), {"id": job_id}).scalar_one()
    return found


def is_packed(connection: Connection, job_id: str, column: str, value: str) -> bool:
    found = stored(connection, job_id, column)
    return found.startswith(MARK) and len(found) < len(value) / 2


def started(connection: Connection, **values: Any) -> str:
    job_id = insert_job(connection, **values)
    assert transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life", now=NOW)
    return job_id


@pytest.mark.parametrize("number", [1, 3, 30])
def test_rows_come_in_packed_however_many_at_once(connection: Connection, number: int) -> None:
    rows = [job_row(args=BIG, kwargs=BIG_OBJECT, message=BIG_OBJECT) for _ in range(number)]
    transitions.insert_jobs(connection, rows)
    for row in rows:
        for column in ("args", "kwargs", "message"):
            assert is_packed(connection, row["id"], column, row[column])
        job = queries.get(connection, row["id"])
        assert job is not None and (job.args_json, job.kwargs_json, job.message_json) == (BIG, BIG_OBJECT, BIG_OBJECT)


def test_short_values_are_stored_as_they_are(connection: Connection) -> None:
    job_id = insert_job(connection, args='["Jörg"]', kwargs="{}")
    assert stored(connection, job_id, "args") == '["Jörg"]'
    assert stored(connection, job_id, "kwargs") == "{}"


Move = Callable[[Connection, str], bool]
ERROR = faults.fault("ValueError", "builtins", [], "no " * 20_000, "line\n" * 10_000)
MOVES: dict[str, tuple[Move, str, str]] = {
    "succeed": (
        lambda c, i: transitions.succeed(c, i, 1, result=BIG, children=None, now=NOW),
        "result",
        BIG,
    ),
    "children": (
        lambda c, i: transitions.succeed(c, i, 1, result=None, children=BIG, now=NOW),
        "children",
        BIG,
    ),
    "report": (
        lambda c, i: transitions.report(c, i, 1, state="PROGRESS", meta=BIG),
        "progress",
        BIG,
    ),
    "end badly": (
        lambda c, i: transitions.end_badly(c, i, 1, state=State.FAILURE, error=ERROR, now=NOW),
        "error",
        json.dumps(ERROR),
    ),
    "requeue": (
        lambda c, i: transitions.requeue(
            c, i, 1, values=job_row(args=BIG, retries=1), error=ERROR, line="{}\n", wake_at=NOW
        ),
        "args",
        BIG,
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_pack_what_they_write(connection: Connection, name: str) -> None:
    move, column, value = MOVES[name]
    job_id = started(connection)
    assert move(connection, job_id)
    assert is_packed(connection, job_id, column, value)
    found = queries.row(connection, job_id, column)
    assert found is not None and found[column] == value


def test_a_history_is_joined_in_sql_and_so_never_packed(connection: Connection) -> None:
    job_id = started(connection)
    line = json.dumps({"attempt": 1, "text": "x" * 30_000}) + "\n"
    wake: dict[str, Any] = {"error": ERROR, "wake_at": NOW}
    assert transitions.rescue(connection, job_id, 1, line=line, **wake)
    assert transitions.claim(connection, job_id, 2, worker="w@h", worker_id="life", now=NOW)
    assert transitions.rescue(connection, job_id, 2, line=line, **wake)
    assert stored(connection, job_id, "history") == line * 2


def test_sessions_read_and_write_them(every_database: Flask) -> None:
    with every_database.app_context():
        values = {"root_id": "one", **job_row(id="one", kwargs=BIG_OBJECT)}
        db.session.add(Job(**values))
        db.session.commit()
        db.session.expunge_all()
        assert db.session.get_one(Job, "one").kwargs == BIG_OBJECT
        assert db.session.execute(select(Job.kwargs)).scalar_one() == BIG_OBJECT
    with every_database.extensions["jobs"].engine.connect() as connection:
        assert is_packed(connection, "one", "kwargs", BIG_OBJECT)


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("args.1.name=needle-in-it", ["packed"]),
        ("args.0.17.id=17", ["other", "packed"]),
        ("args.1.name=needle", []),
        ("user=needle-in-it", ["packed", "plain"]),
        ("rows.4999.id=4999", ["other", "packed"]),
        ("user=Jörg", ["no needle"]),
    ],
)
def test_jobs_are_found_by_packed_arguments(connection: Connection, argument: str, found: list[str]) -> None:
    rows = [
        job_row(id="other", args=BIG.replace("needle", "straw"), kwargs=BIG_OBJECT.replace("needle", "straw")),
        job_row(id="packed", args=BIG, kwargs=BIG_OBJECT),
        job_row(id="plain", args="[]", kwargs='{"user": "needle-in-it"}'),
        job_row(id="no needle", args="[]", kwargs=json.dumps({"user": "Jörg", "rows": "x" * 20_000})),
    ]
    transitions.insert_jobs(connection, rows)
    for wanted in (Filter(argument=argument), Filter(argument=argument, task="add")):
        page = lists.page(connection, wanted, limit=50)
        assert sorted(job.id for job in page.jobs) == found
        assert lists.count(connection, wanted).number == len(found)


def test_pages_by_packed_arguments_are_walked_to_the_end(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "ARGUMENTS_AT_ONCE", 7)
    monkeypatch.setattr(queries, "LONG_AT_ONCE", 2)
    rows = [
        job_row(
            created_at=NOW - timedelta(seconds=number),
            kwargs=json.dumps({"n": number % 3, "more": "x" * 20_000 if number % 2 else ""}),
        )
        for number in range(30)
    ]
    transitions.insert_jobs(connection, rows)
    wanted, seen, after = Filter(argument="n=1"), [], None
    while True:
        page = lists.page(connection, wanted, limit=3, after=after)
        seen += [job.id for job in page.jobs]
        after = page.next
        if after is None:
            break
    assert seen == [row["id"] for number, row in enumerate(rows) if number % 3 == 1]


def test_an_exchange_is_found_in_a_packed_message(connection: Connection) -> None:
    published = {"published_at": NOW - timedelta(hours=1), "dispatch_at": None}
    chain = json.loads(BIG)
    for job_id, message in (
        ("none", None),
        ("short", {"exchange": "x"}),
        ("other", {"chain": chain}),
        ("long", {"chain": chain, "exchange": "x"}),
    ):
        insert_job(connection, id=job_id, message=message and json.dumps(message), **published)
    found = queries.published_before(connection, NOW, "celery", 10)
    assert {job.id: bool(job.elsewhere) for job in found} == {
        "none": False,
        "short": True,
        "other": False,
        "long": True,
    }


def test_relatives_are_found_through_packed_messages(connection: Connection) -> None:
    step = {"task": "add", "args": json.loads(BIG), "options": {"task_id": "second"}}
    insert_job(connection, id="first", message=json.dumps({"chain": [step]}))
    insert_job(connection, id="second", parent_id="first")
    assert is_packed(connection, "first", "message", BIG)
    found = family(connection, "first")
    assert found is not None and found.descendants() == ["second"]


def test_a_result_is_read_through_celery(every_database: Flask, connection: Connection) -> None:
    job_id = started(connection, args=BIG)
    transitions.succeed(connection, job_id, 1, result=BIG, children=None, now=NOW)
    celery: Celery = every_database.extensions["celery"]
    result = celery.AsyncResult(job_id)
    assert result.get(timeout=5) == json.loads(BIG)
    assert result.args == json.loads(BIG)


def test_the_api_shows_true_values(every_database: Flask, connection: Connection) -> None:
    client = every_database.test_client()
    sent = {"task": "process", "kwargs": {"total": 1, "step_seconds": 0}}
    job_id = client.post("/tasks", json=sent).get_json()["task_id"]
    connection.execute(update(Job).where(Job.id == job_id).values(kwargs=BIG_OBJECT, result=BIG))
    for answer in (
        client.get(f"/tasks/{job_id}").get_json(),
        *client.get("/tasks?argument=user%3Dneedle-in-it").get_json()["tasks"],
    ):
        assert answer["kwargs"] == json.loads(BIG_OBJECT)
        assert answer["task_result"] == json.loads(BIG)


def test_a_retry_writes_them_again(every_database: Flask, connection: Connection) -> None:
    job_id = started(connection, args=BIG)
    transitions.succeed(connection, job_id, 1, result=BIG, children=None, now=NOW)
    with every_database.app_context():
        assert service.retry(job_id).args_json == BIG
    assert is_packed(connection, job_id, "args", BIG)


# -- damaged rows ------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(connection: Connection) -> str:
    """A failed job of whose large values only the first half is left, beside two that are whole."""
    for _ in range(2):
        insert_job(connection, args=BIG)
    message = json.dumps({"time_limit": 5, "chain": json.loads(BIG)})
    job_id = started(connection, args=BIG, kwargs=BIG_OBJECT, message=message)
    transitions.report(connection, job_id, 1, state="PROGRESS", meta=BIG)
    transitions.end_badly(connection, job_id, 1, state=State.FAILURE, error=ERROR, now=NOW)
    connection.execute(update(Job).where(Job.id == job_id).values(result=BIG))
    for column in ("args", "kwargs", "message", "progress", "result", "error"):
        half = stored(connection, job_id, column)
        half = half[: len(half) // 8 * 4]
        connection.execute(text(f"UPDATE job SET {column} = :half WHERE id = :id"), {"half": half, "id": job_id})
    return job_id


def test_one_damaged_row_hides_no_other(every_database: Flask, connection: Connection, damaged: str) -> None:
    client = every_database.test_client()
    tasks = client.get("/tasks").get_json()["tasks"]
    assert len(tasks) == 3
    shown = next(task for task in tasks if task["task_id"] == damaged)
    assert shown["args"][0].startswith("the job's args can't be read from its row")
    assert shown["kwargs"]["message"].startswith("the job's kwargs can't be read from its row")
    assert shown["task_result"]["message"].startswith("the job's result can't be read from its row")
    assert shown["error"]["message"].startswith("the job's error can't be read from its row")
    for path in ("/jobs", f"/jobs/{damaged}", "/failures", f"/tasks/{damaged}", "/tasks?argument=user%3Dneedle-in-it"):
        assert client.get(path).status_code == 200, path
    page = client.get(f"/jobs/{damaged}").text
    for column in ("args", "kwargs", "error"):
        assert f"the job&#39;s {column} can&#39;t be read from its row" in page
    assert triage.failures(connection).groups[0].message.startswith("the job's error can't be read")
    assert family(connection, damaged) is not None


def test_who_needs_a_damaged_value_is_told_which(every_database: Flask, connection: Connection, damaged: str) -> None:
    celery: Celery = every_database.extensions["celery"]
    result = celery.AsyncResult(damaged)
    assert result.state == State.FAILURE
    with pytest.raises(ValueUnreadable, match="the job's error can't be read"):
        result.get()
    celery.backend.pass_on(damaged)  # maintenance tells others of its end, and goes on
    connection.execute(text("UPDATE job SET state = 'SUCCESS' WHERE id = :id"), {"id": damaged})
    with pytest.raises(DecodeError, match="the job's result can't be read"):
        celery.AsyncResult(damaged).get()
    connection.execute(text("UPDATE job SET state = 'FAILURE' WHERE id = :id"), {"id": damaged})
    with every_database.app_context():
        publisher, outgoing = runtime().publisher, queries.outgoing(connection, damaged)
        assert isinstance(publisher, CeleryPublisher) and outgoing is not None
        with (
            Broker(transport=_CatchingTransport) as broker,
            pytest.raises(Unpublishable, match="the job's message can't be read"),
            publisher._reported(),
        ):
            publisher._send(outgoing, broker.Producer())
        with pytest.raises(ValueUnreadable, match=r"the job's args can't be read .* give other arguments"):
            service.retry(damaged)
    refused = every_database.test_client().post(f"/tasks/{damaged}/retry")
    assert refused.status_code == 409 and "the job's args can't be read" in refused.get_json()["detail"]
    before = stored(connection, damaged, "args")
    assert before.startswith(MARK), "and it is still there for whoever can mend it"


# -- the page of a job -------------------------------------------------------------------------------------------


def test_the_page_of_a_job_with_a_large_result_stays_light(app: Flask, client: FlaskClient) -> None:
    value = json.dumps(["a line of a report, number " + str(number) for number in range(70_000)])
    assert len(value) > 2_000_000
    with app.extensions["jobs"].engine.connect() as connection:
        job_id = started(connection, args=value)
        transitions.succeed(connection, job_id, 1, result=value, children=None, now=NOW)
        assert is_packed(connection, job_id, "result", value)
    page = client.get(f"/jobs/{job_id}")
    assert page.status_code == 200
    assert "a line of a report, number 17&#34;" in page.text and "characters" in page.text
    assert len(page.data) < 150_000
    assert len(client.get("/jobs").data) < 150_000
