"""Pages show every job that was asked for, once, whatever the filters; counts stop where they say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, event

from task_app.jobs import lists, transitions
from task_app.jobs.lists import Filter
from task_app.jobs.states import State

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
