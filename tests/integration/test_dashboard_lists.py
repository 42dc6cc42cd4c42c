"""Lists of jobs on pages: every filter is seen, carried along and taken back; odd addresses are no 500s."""

import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app.dashboard.jobs import FIELDS
from task_app.jobs.filters import Filter
from task_app.jobs.runtime import JobRuntime
from task_app.jobs.states import State
from task_app.jobs.view import timestamp

from ..factories import insert_job

NOW = datetime.now(UTC)
#: A value that can be right for each filter.
VALUES = {"resolved": "false", "argument": "kwargs.a=1", "id": "01a2", "status": "FAILURE"}
VALUES |= dict.fromkeys(
    ("created_after", "created_before", "finished_after", "finished_before"), "2026-01-01T00:00:00Z"
)


def failure(app: Flask, ended: datetime) -> str:
    here: JobRuntime = app.extensions["jobs"]
    with here.engine.connect() as connection:
        times = {"created_at": NOW - timedelta(hours=3), "started_at": ended, "finished_at": ended}
        return insert_job(connection, state=State.FAILURE, dispatch_at=None, error_type="ValueError", **times)


def test_every_filter_is_one_that_the_page_knows() -> None:
    assert {name for name, _, _ in FIELDS} == {field.name for field in fields(Filter)}


@pytest.mark.parametrize("name", [name for name, _, _ in FIELDS])
def test_a_filter_is_shown_and_goes_along_with_actions(client: FlaskClient, name: str) -> None:
    value = VALUES.get(name, "x")
    page = client.get("/jobs", query_string={name: value}).text
    assert f"{name}: <b>{value}</b>" in page
    assert f'name="filter.{name}" value="{value}"' in page
    assert "Unknown field" not in page


def test_all_matching_are_those_of_the_filter_when_it_was_shown(app: Flask, client: FlaskClient) -> None:
    early, late = failure(app, NOW - timedelta(hours=2)), failure(app, NOW - timedelta(minutes=1))
    since = timestamp(NOW - timedelta(hours=1)) or ""
    form = {"action": "resolve", "all": "1", "as_of": timestamp(NOW), "filter.status": "FAILURE"}
    assert "Resolved: 1 of 1" in client.post("/jobs/actions", data={**form, "filter.finished_after": since}).text
    resolved = {job_id: client.get(f"/tasks/{job_id}").get_json()["resolved_at"] for job_id in (early, late)}
    assert (resolved[early], resolved[late] is None) == (None, False)


def test_what_ends_after_the_page_was_shown_is_not_among_all(app: Flask, client: FlaskClient) -> None:
    before, after = failure(app, NOW - timedelta(minutes=2)), failure(app, NOW - timedelta(minutes=1))
    shown_at = timestamp(NOW - timedelta(seconds=90))
    form = {"action": "resolve", "all": "1", "as_of": shown_at, "filter.status": "FAILURE"}
    client.post("/jobs/actions", data=form)
    resolved = {job_id: client.get(f"/tasks/{job_id}").get_json()["resolved_at"] for job_id in (before, after)}
    assert (resolved[before] is None, resolved[after]) == (False, None)


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ("add", "task=add"),
        ("task:add", "task=add"),
        ("state:FAILURE", "status=FAILURE"),
        ("kwargs.user_id=999", "argument=kwargs.user_id%3D999"),
        ("kwargs.u=a:b", "argument=kwargs.u%3Da%3Ab"),
        ("tag: red ", "tag=red"),
    ],
)
def test_a_filter_can_be_typed(client: FlaskClient, typed: str, query: str) -> None:
    assert client.get("/jobs", query_string={"filter": typed}).location == f"/jobs?{query}"


@pytest.mark.parametrize(
    "path",
    [
        "/?from=0001-01-01T00:00:00%2B14:00&to=0001-01-02T00:00:00Z",
        "/?from=9999-12-31T23:58:00-14:00&to=9999-12-31T23:59:59-14:00",
        "/?from=9999-12-31T23:58:00Z&to=9999-12-31T23:59:59Z",
        "/?from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z",
        "/?window=nonsense",
        "/failures?window=nonsense",
        "/jobs?cursor=nonsense&status=%00",
        "/names?field=task&prefix=%00",
        "/names?field=nonsense",
        "/workers?queue=%00",
    ],
)
def test_odd_addresses_are_answered(every_database: Flask, path: str) -> None:
    assert every_database.test_client().get(path).status_code == 200


def test_odd_searches_and_forms_are_answered(every_database: Flask) -> None:
    client = every_database.test_client()
    assert client.get("/search?q=%00").status_code == 303
    assert client.post("/jobs/actions", data={"action": "cancel", "job_id": "\0"}).status_code == 400
    for moment in ("9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "soon", ""):
        form = {"action": "cancel", "all": "1", "as_of": moment, "filter.task": "add"}
        assert client.post("/jobs/actions", data=form).status_code == 400
    assert client.post("/keys/revoke", data={"name": "\0"}).status_code == 404


def test_the_beginning_of_an_id_finds_jobs(client: FlaskClient) -> None:
    job_id = client.post("/tasks/add", json={"a": 1, "b": 2}).get_json()["task_id"]
    place = client.get("/search", query_string={"q": job_id[:8]}).location
    assert re.search(job_id, client.get(place).text)
