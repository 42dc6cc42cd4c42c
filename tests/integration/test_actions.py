"""One thing done to many jobs: each has an outcome, none is left out, none is done twice, none spoils the others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, event, update

from task_app.api.actions import OutcomesSchema
from task_app.jobs import actions, groups, lists, queries, transitions
from task_app.jobs.actions import Action, Outcome
from task_app.jobs.filters import Filter
from task_app.jobs.models import Job
from task_app.jobs.runtime import JobRuntime
from task_app.jobs.states import State

from ..factories import insert_job, job_row
from .test_api_submit import errors_of

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=60)
SECOND = timedelta(seconds=1)
ENDED = {"dispatch_at": None, "finished_at": NOW}


@pytest.fixture
def app(every_database: Flask) -> Iterator[Flask]:
    with every_database.app_context():
        yield every_database


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    runtime: JobRuntime = app.extensions["jobs"]
    with runtime.engine.connect() as connection:
        yield connection


def all_steps(action: Action, wanted: Filter, limit: int) -> list[actions.Done]:
    step = actions.step(action, wanted, limit=limit)
    done = list(step.done)
    while step.next is not None:
        step = actions.step(action, wanted, after=step.next, limit=limit)
        assert len(step.done) <= limit
        done += step.done
    return done


def state_of(connection: Connection, job_id: str) -> str | None:
    job = queries.get(connection, job_id)
    return job.state if job else None


@pytest.mark.parametrize("reach", [2, 1000])
def test_all_matching_means_each_once_though_they_leave_the_filter(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, reach: int
) -> None:
    monkeypatch.setattr(lists, "REACH", reach)
    rows = [job_row(created_at=NOW - n // 3 * SECOND, task=f"task.{n % 2}") for n in range(20)]
    transitions.insert_jobs(connection, rows)
    wanted = Filter(status="PENDING", task="task.1")
    done = all_steps(Action.CANCEL, wanted, limit=3)
    expected = [row["id"] for row in rows if row["task"] == "task.1"]
    assert sorted(one.job_id for one in done) == sorted(expected)
    assert {(one.outcome, one.detail) for one in done} == {(Outcome.CHANGED, "revoked")}
    assert lists.count(connection, wanted).number == 0
    assert lists.count(connection, Filter(status="PENDING")).number == 10


def test_what_comes_later_is_not_concerned(connection: Connection) -> None:
    old = [insert_job(connection, created_at=NOW - n * SECOND) for n in range(4)]
    step = actions.step(Action.CANCEL, Filter(status="PENDING", created_before=NOW - SECOND / 2), limit=2)
    late = insert_job(connection)
    assert step.next is not None
    rest = actions.step(Action.CANCEL, Filter(status="PENDING"), after=step.next, limit=200)
    assert [one.job_id for one in step.done + rest.done] == old[1:]
    assert rest.next is None
    assert (state_of(connection, late), state_of(connection, old[0])) == ("PENDING", "PENDING")
    now = [one.job_id for one in actions.step(Action.CANCEL, Filter(status="PENDING")).done]
    assert now == [late, old[0]], "without a moment, the first step's own"


def test_each_outcome_of_each_action(connection: Connection) -> None:
    waits, ended, failed, told = (
        insert_job(connection),
        insert_job(connection, state=State.SUCCESS, **ENDED),
        insert_job(connection, state=State.FAILURE, started_at=NOW, **ENDED),
        insert_job(connection),
    )
    transitions.claim(connection, told, 1, worker="w", worker_id="life", now=NOW)
    everybody = [waits, ended, failed, told, "nobody", waits]

    def outcomes(action: Action) -> list[str]:
        return [one.outcome.value for one in actions.on_jobs(action, everybody).done]

    assert outcomes(Action.RESOLVE) == ["not allowed", "not allowed", "changed", "not allowed", "failed"]
    assert outcomes(Action.RESOLVE)[2] == "nothing to do"
    assert outcomes(Action.UNRESOLVE)[2] == "changed"
    assert outcomes(Action.UNRESOLVE)[2] == "nothing to do"
    assert outcomes(Action.CANCEL) == ["changed", "not allowed", "not allowed", "changed", "failed"]
    assert outcomes(Action.CANCEL) == ["nothing to do", "not allowed", "not allowed", "nothing to do", "failed"]
    assert outcomes(Action.RETRY) == ["changed", "changed", "changed", "not allowed", "failed"]
    assert outcomes(Action.DELETE) == ["not allowed", "not allowed", "not allowed", "not allowed", "failed"]
    assert outcomes(Action.CANCEL) == ["changed", "changed", "changed", "nothing to do", "failed"]
    assert outcomes(Action.DELETE) == ["changed", "changed", "changed", "not allowed", "failed"]
    assert [state_of(connection, job_id) for job_id in (waits, ended, failed, told)] == [None, None, None, "STARTED"]


def test_what_is_revoked_with_another_is_nothing_to_do(connection: Connection) -> None:
    parent = insert_job(connection)
    child = insert_job(connection, parent_id=parent)
    done = actions.on_jobs(Action.CANCEL, [parent, child]).done
    assert [one.outcome for one in done] == [Outcome.CHANGED, Outcome.NOTHING_TO_DO]


def test_a_chord_that_needs_its_part_keeps_it(connection: Connection) -> None:
    groups.save(connection, "g", unjoined=True, now=NOW)
    part = insert_job(connection, state=State.SUCCESS, group_id="g", **ENDED)
    (done,) = actions.on_jobs(Action.DELETE, [part]).done
    assert done.outcome is Outcome.NOT_ALLOWED and "chord" in done.detail


def test_a_bad_job_never_spoils_the_others(
    connection: Connection, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [insert_job(connection, state=State.FAILURE, started_at=NOW, **ENDED) for _ in range(3)]
    connection.execute(update(Job).where(Job.id == jobs[1]).values(error="not JSON"))
    done = actions.on_jobs(Action.RETRY, jobs).done
    assert [one.outcome for one in done] == [Outcome.CHANGED, Outcome.FAILED, Outcome.CHANGED]
    assert "could not retry" in caplog.text


# -- at the door -------------------------------------------------------------------------------------------------


def test_the_api_walks_through_all_that_match(
    client: FlaskClient, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [job_row(created_at=NOW - n * SECOND, queue="q") for n in range(450)]
    transitions.insert_jobs(connection, rows)
    body: dict[str, Any] = {"action": "cancel", "filter": {"status": "waiting", "queue": "q"}}
    seen: list[str] = []
    for _ in range(9):
        response = client.post("/task-actions", json=body)
        assert response.status_code == 200, response.text
        answer = response.get_json()
        assert OutcomesSchema().validate(answer) == {}
        assert answer["counts"] == {
            "changed": len(answer["outcomes"]),
            "nothing to do": 0,
            "not allowed": 0,
            "failed": 0,
        }
        seen += [outcome["task_id"] for outcome in answer["outcomes"]]
        if answer["next_cursor"] is None:
            break
        body["cursor"] = answer["next_cursor"]
    assert seen == [row["id"] for row in rows]
    ids = client.post("/task-actions", json={"action": "delete", "task_ids": seen[:2]}).get_json()
    assert (ids["counts"]["changed"], ids["next_cursor"]) == (2, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "explode", "task_ids": ["a"]}, "action"),
        ({"action": "cancel"}, "task_ids"),
        ({"action": "cancel", "task_ids": []}, "task_ids"),
        ({"action": "cancel", "task_ids": ["a"] * 201}, "task_ids"),
        ({"action": "cancel", "task_ids": ["ü"]}, "task_ids"),
        ({"action": "cancel", "task_ids": ["a"], "filter": {"task": "add"}}, "task_ids"),
        ({"action": "cancel", "filter": {}}, "filter"),
        ({"action": "cancel", "filter": {"state": "x"}}, "filter"),
        ({"action": "cancel", "filter": {"task": ""}}, "filter"),
        ({"action": "cancel", "filter": {"argument": "a"}}, "filter"),
        ({"action": "cancel", "task_ids": ["a"], "cursor": "MS5h"}, "cursor"),
        ({"action": "cancel", "filter": {"task": "a"}, "cursor": "?"}, "cursor"),
    ],
)
def test_what_names_no_jobs_is_refused_and_nothing_is_done(
    client: FlaskClient, connection: Connection, body: dict[str, Any], field: str
) -> None:
    job_id = insert_job(connection)
    assert field in errors_of(client.post("/task-actions", json=body))
    assert state_of(connection, job_id) == "PENDING"


def test_a_database_that_goes_away_ends_the_step(client: FlaskClient, connection: Connection, app: Flask) -> None:
    from sqlalchemy.exc import OperationalError

    jobs = [insert_job(connection) for _ in range(3)]
    runtime: JobRuntime = app.extensions["jobs"]

    def fail(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("UPDATE"):
            raise OperationalError(statement, None, Exception("gone"))

    event.listen(runtime.engine, "before_cursor_execute", fail)
    try:
        assert client.post("/task-actions", json={"action": "cancel", "task_ids": jobs}).status_code == 503
    finally:
        event.remove(runtime.engine, "before_cursor_execute", fail)
