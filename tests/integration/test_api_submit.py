"""Submitting jobs over HTTP: one, by the name of the task, many."""

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from task_app.api.job import WholeJobSchema
from task_app.jobs import lists
from task_app.jobs.runtime import JobRuntime, runtime
from task_app.jobs.view import JobView

FAR = "2100-01-01T00:00:00Z"


def stored(app: Flask) -> list[JobView]:
    """Return all jobs, oldest first."""
    here: JobRuntime = app.extensions["jobs"]
    with here.engine.connect() as connection:
        return lists.page(connection, lists.Filter(), limit=1000).jobs[::-1]


def add_task(app: Flask, function: Callable[..., Any], **options: Any) -> None:
    """Register a task with this app only."""
    app.extensions["celery"].task(function, shared=False, **options)


def hidden() -> None: ...


def echo(text: str) -> str:
    return text


def submit(client: FlaskClient, **body: Any) -> TestResponse:
    return client.post("/tasks", json={"task": "add", "args": [1, 2], **body})


def problem_of(response: TestResponse, status: int) -> Mapping[str, Any]:
    """Return the problem document of a response."""
    assert (response.status_code, response.mimetype) == (status, "application/problem+json"), response.text
    document: Mapping[str, Any] = response.get_json(force=True)
    assert document["status"] == status
    assert document["title"]
    return document


def errors_of(response: TestResponse) -> Any:
    """Return the errors of a 422."""
    return problem_of(response, 422)["errors"]


def test_a_job_is_accepted(app: Flask, client: FlaskClient) -> None:
    body = '{"task": "add", "kwargs": {"b": 2, "a": 1}}'
    response = client.post("/tasks", data=body, content_type="application/json")
    assert response.status_code == 202
    job = response.get_json()
    assert response.headers["Location"] == f"/tasks/{job['task_id']}"
    assert (job["task"], job["args"], job["kwargs"]) == ("add", [], {"a": 1, "b": 2})
    assert (job["task_status"], job["queue"], job["priority"]) == ("PENDING", "celery", 5)
    assert '"kwargs":{"b":2,"a":1}' in response.text  # as it was sent
    assert WholeJobSchema().validate(job) == {}
    assert [row.id for row in stored(app)] == [job["task_id"]]


def test_every_option_is_kept(app: Flask, client: FlaskClient) -> None:
    job_id = str(uuid4())
    response = submit(
        client,
        queue="mail",
        priority=9,
        eta="2100-01-01T02:00:00+02:00",
        expires="2100-02-01T00:00:00Z",
        task_id=job_id,
        tags=["a", "ünï", "a"],
        max_retries=0,
        soft_time_limit=1.5,
        time_limit=2,
    )
    assert response.status_code == 202, response.text
    job = client.get(response.headers["Location"]).get_json()
    assert job["task_id"] == job_id
    assert (job["queue"], job["priority"], job["tags"]) == ("mail", 9, ["a", "ünï"])
    assert (job["due_at"], job["expires_at"]) == ("2100-01-01T00:00:00.000000Z", "2100-02-01T00:00:00.000000Z")
    assert (job["max_retries"], job["soft_time_limit"], job["time_limit"]) == (0, 1.5, 2)
    assert job["waiting_for"] == "due time"
    assert WholeJobSchema().validate(job) == {}


def test_times_may_be_seconds_from_now(client: FlaskClient) -> None:
    before = datetime.now(UTC)
    job = submit(client, countdown=60, expires=90.5).get_json()
    for moment, seconds in (("due_at", 60), ("expires_at", 90.5)):
        late = datetime.fromisoformat(job[moment]) - before - timedelta(seconds=seconds)
        assert timedelta(0) <= late < timedelta(seconds=5)


@pytest.mark.parametrize(
    "form", ["{}", "urn:uuid:{}", "{{{}}}", "URN:UUID:{}", "upper", "no hyphens"], ids=lambda form: form
)
def test_an_id_may_come_in_any_form(client: FlaskClient, form: str) -> None:
    job_id = str(uuid4())
    given = {"upper": job_id.upper(), "no hyphens": job_id.replace("-", "")}.get(form) or form.format(job_id)
    assert submit(client, task_id=given).get_json()["task_id"] == job_id


def test_a_taken_id_is_a_conflict(app: Flask, client: FlaskClient) -> None:
    job_id = str(uuid4())
    assert submit(client, task_id=job_id).status_code == 202
    for again in (submit(client, task_id=job_id), submit(client, task_id=job_id.upper(), args=[3, 4])):
        problem_of(again, 409)
    assert len(stored(app)) == 1


LONG = 10 * 366 * 24 * 3600 + 1

WRONG_OPTIONS: list[tuple[str, Any]] = [
    ("task", None),
    ("task", 5),
    ("task", "nope"),
    ("task", "celery.group"),
    ("task", "hidden"),
    ("args", {}),
    ("args", "ab"),
    ("kwargs", []),
    ("queue", ""),
    ("queue", "a b"),
    ("queue", "a\n"),
    ("queue", "q" * 101),
    ("queue", None),
    ("priority", -1),
    ("priority", 10),
    ("priority", "5"),
    ("priority", True),
    ("priority", 5.0),
    ("countdown", -1),
    ("countdown", LONG),
    ("countdown", "5"),
    ("countdown", True),
    ("countdown", 10**400),
    ("eta", "2030-01-31T12:00:00"),
    ("eta", "tomorrow"),
    ("eta", 5),
    ("eta", "1969-12-31T23:59:59Z"),
    ("eta", "9999-12-31T23:59:59Z"),
    ("eta", "9999-12-31T23:59:59-23:59"),
    ("eta", "0001-01-01T00:00:00+23:59"),
    ("expires", "2100-01-01"),
    ("expires", "2000-01-01T00:00:00Z"),
    ("expires", 0),
    ("expires", -1),
    ("expires", LONG),
    ("expires", True),
    ("task_id", "x"),
    ("task_id", 5),
    ("task_id", ""),
    ("task_id", "0" * 31),
    ("task_id", "+" + "0" * 31),
    ("task_id", "०" * 32),
    ("tags", "a"),
    ("tags", [""]),
    ("tags", ["a" * 101]),
    ("tags", ["a", "a "]),
    ("tags", [" "]),
    ("tags", [1]),
    ("tags", ["a"] * 21),
    ("max_retries", -1),
    ("max_retries", 1001),
    ("max_retries", 1.5),
    ("soft_time_limit", 0),
    ("soft_time_limit", "1"),
    ("time_limit", -1),
    ("time_limit", 366 * 24 * 3600 + 1),
    ("unknown", 1),
    ("task\0", 1),
]


@pytest.mark.parametrize(("option", "value"), WRONG_OPTIONS)
def test_a_wrong_option_is_refused_by_its_name(app: Flask, client: FlaskClient, option: str, value: Any) -> None:
    add_task(app, hidden, name="hidden", public=False)
    assert errors_of(submit(client, **{option: value})).keys() == {option}
    assert stored(app) == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"countdown": 1, "eta": FAR}, "eta"),
        ({"countdown": 10, "expires": 5}, "expires"),
        ({"eta": FAR, "expires": FAR}, "expires"),
        ({"soft_time_limit": 3, "time_limit": 2}, "soft_time_limit"),
    ],
)
def test_options_must_go_together(client: FlaskClient, options: dict[str, Any], field: str) -> None:
    assert errors_of(submit(client, **options)).keys() == {field}


def test_a_body_that_is_no_object_is_refused(client: FlaskClient) -> None:
    for body in ("[]", "null", "5", '"x"'):
        problem_of(client.post("/tasks", data=body, content_type="application/json"), 422)


def test_an_eta_in_the_past_means_now(client: FlaskClient) -> None:
    assert submit(client, eta="2000-01-01T00:00:00Z").get_json()["waiting_for"] == "broker"


def test_wrong_arguments_are_told_where_they_were_given(app: Flask, client: FlaskClient) -> None:
    def errors(**body: Any) -> Any:
        return errors_of(client.post("/tasks", json={"task": "add", **body}))

    assert errors(args=["1", 2, 3, 4]) == {
        "args": {
            "0": ["Not a valid integer."],
            "3": ["The task takes at most 3 positional arguments."],
        }
    }
    assert errors(args=[1], kwargs={"a": 2, "c": 3}) == {
        "args": {"0": ["Given twice, by position and by name."]},
        "kwargs": {"b": ["Missing data for required field."], "c": ["Unknown field."]},
    }
    assert stored(app) == []


def test_text_that_cannot_be_stored_is_refused(app: Flask, client: FlaskClient) -> None:
    bodies = {
        r'{"task": "add", "kwargs": {"a": {"x": ["\u0000"]}}}': {"kwargs": {"a": {"x": {"0": 1}}}},
        r'{"task": "add", "kwargs": {"a\ud800": 1}}': {"kwargs": {"a\ud800": 1}},
        r'{"task": "add", "tags": ["ok", "\udfff"]}': {"tags": {"1": 1}},
        r'{"task": "add\u0000"}': {"task": 1},
    }
    for body, expected in bodies.items():
        found = errors_of(client.post("/tasks", data=body, content_type="application/json"))
        message = "Must not contain NUL characters or lone surrogates."
        assert json.dumps(found).replace(json.dumps([message]), "1") == json.dumps(expected)
    assert stored(app) == []


def test_a_surrogate_pair_is_a_character(client: FlaskClient) -> None:
    body = r'{"task": "send_email", "kwargs": {"to": "a@example.org", "subject": "\ud83d\ude00", "body": "x"}}'
    response = client.post("/tasks", data=body, content_type="application/json")
    assert response.get_json()["kwargs"]["subject"] == "😀"


def test_arguments_over_the_limit_are_refused(app: Flask, client: FlaskClient) -> None:
    add_task(app, echo, name="echo")
    text = "x" * (app.config["JOB_ARGUMENTS_LIMIT"] + 1)
    assert errors_of(client.post("/tasks", json={"task": "echo", "kwargs": {"text": text}})).keys() == {"kwargs"}
    assert errors_of(client.post("/tasks", json={"task": "echo", "args": [text]})).keys() == {"args"}
    problem_of(client.post("/tasks/echo", json={"text": text}), 422)
    assert stored(app) == []


def test_unknown_queues_are_refused_where_queues_are_declared(app: Flask, client: FlaskClient) -> None:
    assert submit(client, queue="new").status_code == 202
    app.extensions["celery"].conf.task_create_missing_queues = False
    assert errors_of(submit(client, queue="newer")).keys() == {"queue"}
    assert submit(client, queue="celery").status_code == 202


def test_an_absent_broker_does_not_keep_a_job_from_being_accepted(client: FlaskClient) -> None:
    started = time.monotonic()
    response = submit(client)
    assert response.status_code == 202
    assert response.get_json()["waiting_for"] == "broker"
    assert time.monotonic() - started < 2


# -- by the name of the task -------------------------------------------------------------------------------------


def test_the_arguments_of_a_task_may_be_the_body(client: FlaskClient) -> None:
    response = client.post("/tasks/add", json={"a": 1, "b": 2})
    job = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/tasks/{job['task_id']}"
    assert job["kwargs"] == {"a": 1, "b": 2}
    assert job["result_id"] == job["task_id"]


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_forms_are_read_as_what_the_task_wants(client: FlaskClient, content_type: str) -> None:
    response = client.post("/tasks/add", data={"a": "1", "b": "-2", "delay": ""}, content_type=content_type)
    assert response.status_code == 202, response.text
    assert response.get_json()["kwargs"] == {"a": 1, "b": -2}


def test_a_task_without_arguments_needs_no_body(client: FlaskClient) -> None:
    assert client.post("/tasks/block").status_code == 202
    assert client.post("/tasks/block", content_type="application/json").status_code == 202
    assert client.post("/tasks/block", data={}).status_code == 202


def test_wrong_arguments_of_a_named_task(app: Flask, client: FlaskClient) -> None:
    assert errors_of(client.post("/tasks/add", json={"a": "1"})).keys() == {"a", "b"}
    assert errors_of(client.post("/tasks/add", data={"a": "x", "b": "1"})).keys() == {"a"}
    assert errors_of(client.post("/tasks/add", data={"a": ["1", "2"], "b": "1"})).keys() == {"a"}
    assert errors_of(client.post("/tasks/add", data={"a": "1", "b": "\0"})).keys() == {"b"}
    assert errors_of(client.post("/tasks/add", json=[1, 2])).keys() == {"body"}
    upload = {"a": (BytesIO(b"1"), "a.txt"), "b": "1"}
    refused = errors_of(client.post("/tasks/add", data=upload, content_type="multipart/form-data"))
    assert refused == {"a": ["Files are not accepted."]}
    problem_of(client.post("/tasks/add", data="a=1", content_type="text/plain"), 415)
    problem_of(client.post("/tasks/add", data=b"a=1"), 415)
    problem_of(client.post("/tasks/nope", json={}), 404)
    problem_of(client.post("/tasks/celery.group", json={}), 404)
    assert stored(app) == []


# -- many --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda jobs: jobs, lambda jobs: {"jobs": jobs}], ids=["list", "object"])
def test_a_batch_is_accepted_in_order(app: Flask, client: FlaskClient, wrap: Any) -> None:
    chosen = str(uuid4())
    jobs = [{"task": "add", "args": [n, n]} for n in range(3)] + [{"task": "block", "task_id": chosen, "tags": ["t"]}]
    response = client.post("/tasks/batch", json=wrap(jobs))
    assert response.status_code == 202, response.text
    ids = response.get_json()["task_ids"]
    assert response.get_json()["count"] == 4
    assert ids[3] == chosen
    by_id = {job.id: job for job in stored(app)}
    assert [by_id[job_id].args for job_id in ids[:3]] == [[0, 0], [1, 1], [2, 2]]


def test_one_bad_job_refuses_the_batch(app: Flask, client: FlaskClient) -> None:
    good = {"task": "add", "args": [1, 2]}
    batch = [good, {"task": "add"}, good, {"task": "x"}, {**good, "priority": 10}, 5]
    errors = errors_of(client.post("/tasks/batch", json=batch))
    assert errors.keys() == {"1", "3", "4", "5"}
    assert errors["1"] == {"kwargs": {name: ["Missing data for required field."] for name in ("a", "b")}}
    assert errors["3"].keys() == {"task"}
    assert errors["4"].keys() == {"priority"}
    assert stored(app) == []


def test_a_taken_id_refuses_the_batch(app: Flask, client: FlaskClient) -> None:
    taken = submit(client, task_id=str(uuid4())).get_json()["task_id"]
    good, bad, twice = ({"task": "block", "task_id": job_id} for job_id in (str(uuid4()), taken, str(uuid4())))
    assert problem_of(client.post("/tasks/batch", json=[good, bad]), 409)["errors"].keys() == {"1"}
    assert problem_of(client.post("/tasks/batch", json=[twice, good, twice]), 409)["errors"].keys() == {"2"}
    assert len(stored(app)) == 1


@pytest.mark.parametrize("body", ["[]", '{"jobs": []}', '{"jobs": 5}', "{}", '{"job": []}', "5", "null", '"x"'])
def test_what_is_no_batch_is_refused(client: FlaskClient, body: str) -> None:
    problem_of(client.post("/tasks/batch", data=body, content_type="application/json"), 422)


def test_a_batch_has_a_limit(app: Flask, client: FlaskClient) -> None:
    app.config["BATCH_LIMIT"] = 2
    jobs = [{"task": "block"}] * 3
    assert client.post("/tasks/batch", json=jobs[:2]).status_code == 202
    assert "2" in errors_of(client.post("/tasks/batch", json=jobs))["jobs"][0]


def test_the_largest_batch_costs_a_handful_of_statements(app: Flask, client: FlaskClient) -> None:
    jobs = [{"task": "add", "kwargs": {"a": n, "b": 2}} for n in range(app.config["BATCH_LIMIT"])]
    with app.app_context():
        engine = runtime().engine
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        response = client.post("/tasks/batch", json=jobs)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert response.status_code == 202
    assert any(statement.startswith("INSERT INTO job ") for statement in statements)
    assert len(statements) <= 5, statements
    assert response.get_json()["count"] == len(jobs) == 10_000
