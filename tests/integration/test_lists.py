"""Pages show every job that was asked for, once, whatever the filters; counts stop where they say."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from flask_migrate import upgrade
from sqlalchemy import Connection, Engine, create_engine, event, text

from task_app import create_app
from task_app.jobs import lists, transitions
from task_app.jobs.lists import Filter
from task_app.jobs.runtime import runtime
from task_app.jobs.states import State

from .. import services
from ..conftest import dispose, settings_for
from ..factories import insert_job, job_row

NOW = datetime.now(UTC).replace(microsecond=0)
SECOND = timedelta(seconds=1)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def walk(connection: Connection, wanted: Filter, limit: int = 3) -> list[str]:
    """Return the ids of all pages."""
    page = lists.page(connection, wanted, limit=limit)
    seen = [job.id for job in page.jobs]
    while page.next is not None:
        page = lists.page(connection, wanted, limit=limit, after=page.next)
        seen += [job.id for job in page.jobs]
    return seen


def test_pages_go_through_equal_times(connection: Connection) -> None:
    rows = [job_row(created_at=NOW, tags='["t"]') for _ in range(7)]
    transitions.insert_jobs(connection, rows)
    for wanted in (Filter(), Filter(tag="t"), Filter(status="PENDING"), Filter(tag="t", status="PENDING")):
        assert walk(connection, wanted) == sorted((row["id"] for row in rows), reverse=True)


@pytest.mark.parametrize("reach", [1, 2, 5, 7, 2000])
def test_filters_that_seldom_meet_are_followed_to_the_end(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, reach: int
) -> None:
    monkeypatch.setattr(lists, "REACH", reach)
    rows = [
        job_row(
            created_at=NOW - number // 2 * SECOND,
            task=f"task.{number % 2}",
            queue=f"queue-{number % 7}",
            worker=f"w{number % 3}",
            tags='["t"]' if number % 4 else None,
        )
        for number in range(40)
    ]
    transitions.insert_jobs(connection, rows)
    newest_first = sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)
    for wanted, meets in (
        (Filter(task="task.1", queue="queue-3"), lambda row: (row["task"], row["queue"]) == ("task.1", "queue-3")),
        (Filter(task="task.1", status="PENDING"), lambda row: row["task"] == "task.1"),
        (Filter(worker="w2", queue="queue-5"), lambda row: (row["worker"], row["queue"]) == ("w2", "queue-5")),
        (Filter(tag="t", task="task.0"), lambda row: row["tags"] and row["task"] == "task.0"),
        (Filter(task="task.0", queue="none"), lambda row: False),
        (
            Filter(task="task.1", queue="queue-1", created_after=NOW - 9 * SECOND),
            lambda row: (
                (row["task"], row["queue"]) == ("task.1", "queue-1") and row["created_at"] > NOW - timedelta(seconds=9)
            ),
        ),
    ):
        assert walk(connection, wanted) == [row["id"] for row in newest_first if meets(row)], wanted


@pytest.mark.parametrize("happens", ["jobs leave", "jobs come"])
def test_what_happens_between_two_statements_hides_and_doubles_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    monkeypatch.setattr(lists, "REACH", 3)
    rows = [job_row(created_at=NOW - number * SECOND, queue="b" if number in (1, 4, 5) else "a") for number in range(9)]
    looks = 0

    def interfere(*_: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            with engine.connect() as other:
                if happens == "jobs leave":
                    transitions.claim(other, rows[0]["id"], 1, worker="w@h", worker_id="life-1", now=NOW)
                else:
                    transitions.insert_jobs(other, [job_row(created_at=NOW + SECOND, queue="a") for _ in range(2)])

    with engine.connect() as connection:
        transitions.insert_jobs(connection, rows)
        event.listen(connection, "after_cursor_execute", interfere)
        seen = walk(connection, Filter(status="PENDING", queue="b"), limit=2)
    assert seen == [rows[number]["id"] for number in (1, 4, 5)]
    assert looks > 2


FAILED = {"state": State.FAILURE, "error_type": "ValueError"}


def many_kinds() -> list[dict[str, Any]]:
    """Return rows of all kinds, several of them made at the same moment."""
    kinds: list[dict[str, Any]] = [
        {},
        {"state": "RETRY", "error_type": "KeyError"},
        {"state": "STARTED", "worker": "w1", "worker_id": "life"},
        {"state": "UPLOADING", "worker": "w1", "worker_id": "life"},
        {"state": State.SUCCESS, "finished_at": NOW},
        {**FAILED, "finished_at": NOW},
        {**FAILED, "finished_at": NOW, "resolved_at": NOW},
        {"state": State.REVOKED, "finished_at": NOW, "error_type": "TaskRevokedError"},
    ]
    return [
        job_row(
            created_at=NOW - number // 3 * SECOND,
            task=f"task.{number % 2}",
            parent_id=f"parent-{number % 3}" if number % 4 else None,
            group_id=f"group-{number % 2}" if number % 5 else None,
            tags='["t"]' if number % 3 else None,
            kwargs=json.dumps({"user_id": number % 4, "name": "Jörg" if number % 2 else "x"}),
            args=json.dumps([{"deep": [number % 6]}]),
            **kind,
        )
        for number, kind in enumerate(kinds * 3)
    ]


Row = dict[str, Any]
WANTED: list[tuple[Filter, Callable[[Row], Any]]] = [
    (Filter(status="waiting"), lambda row: row["state"] in ("PENDING", "RETRY")),
    (Filter(status="running"), lambda row: row["state"] in ("STARTED", "UPLOADING")),
    (Filter(status="finished"), lambda row: row.get("finished_at")),
    (Filter(status="running", task="task.1"), lambda row: row["state"] == "UPLOADING"),
    (Filter(status="finished", tag="t"), lambda row: row.get("finished_at") and row["tags"]),
    (Filter(error="ValueError"), lambda row: row.get("error_type") == "ValueError"),
    (Filter(error="ValueError", task="task.0"), lambda row: row["state"] == "FAILURE" and row["task"] == "task.0"),
    (Filter(resolved=True), lambda row: row.get("resolved_at")),
    (Filter(resolved=False), lambda row: row["state"] == "FAILURE" and not row.get("resolved_at")),
    (Filter(resolved=False, status="finished"), lambda row: row["state"] == "FAILURE" and not row.get("resolved_at")),
    (Filter(resolved=True, status="waiting"), lambda row: False),
    (Filter(resolved=False, error="KeyError"), lambda row: False),
    (Filter(parent="parent-1"), lambda row: row["parent_id"] == "parent-1"),
    (
        Filter(parent="parent-1", status="running"),
        lambda row: row["parent_id"] == "parent-1" and row["state"] in ("STARTED", "UPLOADING"),
    ),
    (Filter(group="group-1"), lambda row: row["group_id"] == "group-1"),
    (
        Filter(group="group-1", tag="t", created_after=NOW - 9 * SECOND),
        lambda row: row["group_id"] == "group-1" and row["tags"] and row["created_at"] > NOW - 9 * SECOND,
    ),
    (Filter(argument="kwargs.user_id=3"), lambda row: json.loads(row["kwargs"])["user_id"] == 3),
    (Filter(argument="name=Jörg"), lambda row: "rg" in row["kwargs"]),
    (Filter(argument="name=J"), lambda row: False),
    (Filter(argument="name=jörg"), lambda row: False),
    (Filter(argument="args.0.deep.0=5"), lambda row: json.loads(row["args"])[0]["deep"] == [5]),
    (Filter(argument="args.0.deep=[5]"), lambda row: json.loads(row["args"])[0]["deep"] == [5]),
    (Filter(argument="args.1=5"), lambda row: False),
    (
        Filter(argument="user_id=1", status="waiting", task="task.1"),
        lambda row: row["state"] == "RETRY" and json.loads(row["kwargs"])["user_id"] == 1,
    ),
]


@pytest.mark.parametrize("reach", [3, 2000])
def test_each_filter_shows_what_it_says(connection: Connection, monkeypatch: pytest.MonkeyPatch, reach: int) -> None:
    monkeypatch.setattr(lists, "REACH", reach)
    monkeypatch.setattr(lists, "ARGUMENTS_AT_ONCE", 2)
    rows = many_kinds()
    for row in rows:  # of various columns
        transitions.insert_jobs(connection, [row])
    newest_first = sorted(rows, key=lambda row: (row["created_at"], row["id"]), reverse=True)
    for wanted, meets in WANTED:
        expected = [row["id"] for row in newest_first if meets(row)]
        assert walk(connection, wanted) == expected, wanted
        counted = lists.count(connection, wanted)
        assert counted.number == len(expected) or (reach < 2000 and wanted.argument and counted.at_least), wanted
        assert not counted.at_least or wanted.argument


@pytest.mark.parametrize("reach", [2, 2000])
def test_an_id_is_found_by_its_beginning(connection: Connection, monkeypatch: pytest.MonkeyPatch, reach: int) -> None:
    monkeypatch.setattr(lists, "REACH", reach)
    ids = ["abc-1", "abc-2", "abc-~", "abc-z9", "abd", "ABC-1", "ab", "zz"]
    for number, job_id in enumerate(ids):
        insert_job(connection, id=job_id, created_at=NOW + number * SECOND, queue="q" if number % 2 else "p")
    assert walk(connection, Filter(id="abc-")) == ["abc-z9", "abc-~", "abc-2", "abc-1"]
    assert walk(connection, Filter(id="abc-", queue="q")) == ["abc-z9", "abc-2"]
    assert walk(connection, Filter(id="abc-1")) == ["abc-1"]
    assert walk(connection, Filter(id="abc-12")) == []
    assert lists.count(connection, Filter(id="ab")).number == 6


def test_a_count_says_when_there_may_be_more(connection: Connection) -> None:
    transitions.insert_jobs(connection, [job_row(queue=f"q{number % 2}", tags='["t"]') for number in range(9)])
    assert lists.count(connection, Filter()) == (9, False)
    assert lists.count(connection, Filter(), limit=9) == (9, True)
    assert lists.count(connection, Filter(task="add"), limit=4) == (4, True)
    assert lists.count(connection, Filter(tag="t", queue="q1")) == (4, False)
    assert lists.count(connection, Filter(tag="t", queue="q1"), limit=6) == (3, True)
    assert lists.count(connection, Filter(queue="none")) == (0, False)


def test_names_are_those_that_jobs_have(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in ("mail.send", "mail.welcome", "add", "Mail.x", "mail-x", "mail😀"):
        for _ in range(2):
            insert_job(connection, task=task, queue="q", tags=json.dumps([f"tag of {task}"]))
    insert_job(connection, task="add", state="UPLOADING", worker="w1", error_type="ValueError", queue="r")
    assert set(lists.names(connection, "task")) == {"mail.send", "mail.welcome", "add", "Mail.x", "mail-x", "mail😀"}
    assert set(lists.names(connection, "task", "mail")) == {"mail.send", "mail.welcome", "mail-x", "mail😀"}
    assert lists.names(connection, "task", "mail.") == ["mail.send", "mail.welcome"]
    assert len(lists.names(connection, "task", limit=2)) == 2
    assert lists.names(connection, "queue") == ["q", "r"]
    assert lists.names(connection, "status") == ["PENDING", "UPLOADING"]
    assert (lists.names(connection, "worker"), lists.names(connection, "error")) == (["w1"], ["ValueError"])
    assert lists.names(connection, "tag", "tag of a") == ["tag of add"]
    assert lists.names(connection, "queue", "z") == []
    monkeypatch.setattr(lists, "PROBES", 1)
    assert len(lists.names(connection, "task")) == 1


def test_an_alphabet_of_the_databases_own_hides_nothing(tmp_path: Path) -> None:
    """Sorted as people do, "abc-1" comes between "abc" and "abcd", and "mail-x" between "mail" and "mails"."""
    services.need("postgresql")
    server = create_engine(services.URLS["postgresql"], isolation_level="AUTOCOMMIT")
    name = f"task_app_test_{uuid.uuid4().hex[:12]}"
    locale = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} {locale}"))
    url = server.url.set(database=name).render_as_string(hide_password=False)
    app = create_app(settings_for(tmp_path, SQLALCHEMY_DATABASE_URI=url))
    try:
        with app.app_context(), runtime().engine.connect() as connection:
            upgrade()
            insert_job(connection, id="x", task="Mail-1", state="x")
            for job_id in ("abc-1", "abcd", "abc~", "ABC-2", "abc"):
                insert_job(connection, id=job_id, task=job_id.replace("abc", "mail"), state=job_id)
            assert set(walk(connection, Filter(id="abc"))) == {"abc-1", "abcd", "abc~", "abc"}
            assert walk(connection, Filter(id="abc-")) == ["abc-1"]
            assert set(lists.names(connection, "task", "mail")) == {"mail-1", "maild", "mail~", "mail"}
            assert lists.names(connection, "task", "mail-") == ["mail-1"]
            assert len(walk(connection, Filter(status="running"))) == 6
    finally:
        dispose(app)
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


def test_earlier_runs_tell_what_is_usual(connection: Connection) -> None:
    def ran(number: int, **values: Any) -> str:
        made = NOW - number * SECOND
        usual = {"state": State.SUCCESS, "started_at": made, "finished_at": made + number * SECOND}
        return insert_job(connection, task="report", created_at=made, **(usual | values))

    insert_job(connection, task="other", state=State.SUCCESS, started_at=NOW, finished_at=NOW)
    ids = [ran(number) for number in range(1, 11)]
    ids.insert(5, ran(5, id="zz", state=State.FAILURE, retries=2, finished_at=NOW + 9 * SECOND))
    ran(3, finished_at=None, state="STARTED")
    ran(4, started_at=None, state=State.REVOKED)
    runs = lists.earlier_runs(connection, "report", NOW)
    assert {run.id for run in runs.runs} == set(ids) and runs.runs[0].seconds == 1.0
    assert [run.retries for run in runs.runs if run.state == "FAILURE"] == [2]
    assert (runs.percentile(50), runs.percentile(95), runs.percentile(10)) == (5.0, 10.0, 1.0)
    assert [run.id for run in lists.earlier_runs(connection, "report", NOW - 8 * SECOND, limit=1).runs] == [ids[9]]
    assert lists.earlier_runs(connection, "none", NOW).percentile(50) is None


def test_a_full_last_page_may_be_followed_by_an_empty_one_but_no_job_is_missed(connection: Connection) -> None:
    for _ in range(3):
        insert_job(connection, queue="a")
    assert len(walk(connection, Filter(queue="a", task="add"), limit=3)) == 3


def test_counts_stop_at_their_limit(connection: Connection) -> None:
    transitions.insert_jobs(connection, [job_row() for _ in range(7)])
    running = insert_job(connection)
    transitions.claim(connection, running, 1, worker="w@h", worker_id="life-1", now=NOW)
    transitions.report(connection, running, 1, state="UPLOADING", meta=None)
    none = {str(state): 0 for state in State if state not in (State.STARTED, State.PROGRESS)}
    assert lists.counts(connection) == none | {"PENDING": 7, "UPLOADING": 1}
    assert lists.counts(connection, limit=5)["PENDING"] == 5


def test_counts_are_shown_with_their_limit(client: FlaskClient) -> None:
    client.post("/tasks", json={"task": "add", "args": [1, 2]})
    shown = client.get("/task-counts").get_json()
    assert (shown["counts"]["PENDING"], shown["counts"]["SUCCESS"], shown["limit"]) == (1, 0, lists.COUNT_LIMIT)
