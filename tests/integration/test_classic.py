"""The classic routes: exactly the answers of the tutorials, in every state a job can be in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app import create_app
from task_app.jobs import faults, service, transitions
from task_app.jobs.lists import Filter
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.states import State
from task_app.jobs.submission import Submission
from task_app.testing.attempts import run_attempt
from task_app.users import service as users

from ..conftest import dispose, settings_for

UNKNOWN = "01890000-0000-7000-8000-000000000000"
READERS = ["/task-status/{}", "/status/{}", "/result/{}", "/tasks/result/{}"]


class JobInHand:
    """A job that the test moves through its states."""

    def __init__(self, task: str = "process", **kwargs: Any) -> None:
        self.id = service.submit(Submission(task=task, kwargs=json.dumps(kwargs))).id
        self.connection = runtime().engine.connect()

    def claim(self) -> None:
        assert transitions.claim(self.connection, self.id, 1, worker="w@test", worker_id="life", now=utcnow())

    def report(self, state: str = State.PROGRESS, **meta: Any) -> None:
        assert transitions.report(self.connection, self.id, 1, state=state, meta=json.dumps(meta))

    def succeed(self, result: Any) -> None:
        assert transitions.succeed(self.connection, self.id, 1, result=json.dumps(result), children=None, now=utcnow())

    def fail(self, message: str, state: State = State.FAILURE) -> None:
        error = faults.fault("ValueError", "builtins", [message], message, "Traceback …")
        assert transitions.end_badly(self.connection, self.id, 1, state=state, error=error, now=utcnow())


@pytest.fixture
def job(app: Flask) -> Iterator[JobInHand]:
    """A waiting job of `process` with seven steps."""
    with app.app_context():
        job = JobInHand(total=7)
        yield job
        job.connection.close()


def stored(app: Flask) -> list[Any]:
    with app.app_context():
        return service.page(Filter(), limit=200).jobs


def answers(client: FlaskClient, job: JobInHand) -> list[Any]:
    """What the four readers say of a job."""
    return [client.get(route.format(job.id)).get_json() for route in READERS]


# -- reading -----------------------------------------------------------------------------------------------------


def test_a_waiting_job(client: FlaskClient, job: JobInHand) -> None:
    assert answers(client, job) == [
        {"state": "PENDING", "status": "Pending..."},
        {"state": "PENDING", "current": 0, "total": 1, "status": "Pending..."},
        {"status": "PENDING", "result": None},
        {"ready": False, "successful": None, "value": {"current": 0, "total": 7}},
    ]


def test_a_job_that_has_not_reported_yet(client: FlaskClient, job: JobInHand) -> None:
    job.claim()
    assert answers(client, job) == [
        {"state": "STARTED", "status": ""},
        {"state": "STARTED", "current": 0, "total": 1, "status": ""},
        {"status": "STARTED", "result": None},
        {"ready": False, "successful": None, "value": {"current": 0, "total": 7}},
    ]


def test_a_job_that_has_reported(client: FlaskClient, job: JobInHand) -> None:
    job.claim()
    job.report(current=3, total=7, message="Sorting tiny teapots")
    reported = {"current": 3, "total": 7, "message": "Sorting tiny teapots"}
    assert answers(client, job) == [
        {"state": "PROGRESS", "status": reported},
        {"state": "PROGRESS", "current": 3, "total": 7, "status": "Sorting tiny teapots"},
        {"status": "PROGRESS", "result": None},
        {"ready": False, "successful": None, "value": reported},
    ]


def test_numbers_alone_are_a_report(client: FlaskClient, job: JobInHand) -> None:
    job.claim()
    job.report(current=3, total=7, message=None)
    assert client.get(f"/status/{job.id}").get_json()["status"] == ""
    assert client.get(f"/tasks/result/{job.id}").get_json()["value"] == {"current": 3, "total": 7}


def test_a_task_may_report_in_the_tutorials_own_words(client: FlaskClient, job: JobInHand) -> None:
    job.claim()
    job.report("CRUNCHING", current=3, total=7, status="crunching")
    assert client.get(f"/status/{job.id}").get_json() == {
        "state": "CRUNCHING",
        "current": 3,
        "total": 7,
        "status": "crunching",
    }


def test_a_job_that_has_succeeded(client: FlaskClient, job: JobInHand) -> None:
    job.claim()
    job.succeed(5)
    assert answers(client, job) == [
        {"state": "SUCCESS", "status": 5},
        {"state": "SUCCESS", "current": 100, "total": 100, "status": "Task completed!", "result": 5},
        {"status": "SUCCESS", "result": 5},
        {"ready": True, "successful": True, "value": 5},
    ]


@pytest.mark.parametrize("state", [State.FAILURE, State.REVOKED])
def test_a_job_that_has_failed(client: FlaskClient, job: JobInHand, state: State) -> None:
    job.claim()
    job.report(current=3, total=7, message="half way")
    job.fail("no more teapots", state)
    assert answers(client, job) == [
        {"state": state, "status": "no more teapots"},
        {"state": state, "current": 1, "total": 1, "status": "no more teapots"},
        {"status": state, "result": "no more teapots"},
        {"ready": True, "successful": False, "value": "no more teapots"},
    ]


def test_a_job_that_will_be_tried_again(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        job = JobInHand("flaky", failures=1)
        run_attempt(app, job.id)
        why = "failure 1 of 1, as asked for"
        assert answers(client, job) == [
            {"state": "RETRY", "status": why},
            {"state": "RETRY", "current": 0, "total": 1, "status": why},
            {"status": "RETRY", "result": None},
            {"ready": False, "successful": None, "value": {"current": 0, "total": 1}},
        ]
        job.connection.close()


@pytest.mark.parametrize("route", READERS)
@pytest.mark.parametrize("job_id", [UNKNOWN, "x", "x" * 156, "%00", "%ED%A0%80", "ö", "%20"])
def test_unknown_ids_are_problem_documents(every_database: Flask, route: str, job_id: str) -> None:
    answer = every_database.test_client().get(route.format(job_id))
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")


# -- submitting --------------------------------------------------------------------------------------------------


def test_run_task(app: Flask, client: FlaskClient) -> None:
    answer = client.get("/run-task")
    (job,) = stored(app)
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "text/plain", f"Task ID: {job.id}")
    assert (job.task, job.kwargs) == ("sleep_task", {"seconds": 10.0})


def test_longtask_from_start_to_end(app: Flask, client: FlaskClient) -> None:
    app.config["CLASSIC_STEP_SECONDS"] = 0
    answer = client.post("/longtask")
    assert (answer.status_code, answer.get_json()) == (202, {})
    where = answer.headers["Location"]
    (job,) = stored(app)
    assert where == f"/status/{job.id}"
    run_attempt(app, job.id)
    assert client.get(where).get_json() == {
        "state": "SUCCESS",
        "current": 100,
        "total": 100,
        "status": "Task completed!",
        "result": 42,
    }


def test_welcome(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        user_id = users.add("Ada", "ada@example.com").id
    answer = client.post("/welcome", json={"user_id": user_id})
    assert (answer.status_code, answer.mimetype, answer.text) == (200, "text/plain", "Welcome email sent!")
    (job,) = stored(app)
    assert (job.task, job.kwargs) == ("send_welcome_email", {"user_id": user_id})
    assert run_attempt(app, job.id).state == "SUCCESS"
    assert Path(app.instance_path, "mail", f"{job.id}.eml").exists()


@pytest.mark.parametrize("user_id", [7, 0, -1, 2**31, 2**63, 10**100])
def test_welcome_of_nobody(app: Flask, client: FlaskClient, user_id: int) -> None:
    answer = client.post("/welcome", json={"user_id": user_id})
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert stored(app) == []


def test_add_from_start_to_end(app: Flask, client: FlaskClient) -> None:
    answer = client.post("/add", json={"a": 5, "b": 3})
    (job,) = stored(app)
    assert (answer.status_code, answer.get_json()) == (200, {"task_id": job.id})
    assert (job.task, job.kwargs) == ("add", {"delay": 3.0, "a": 5, "b": 3})


def test_the_wait_of_add_is_configurable(app: Flask, client: FlaskClient) -> None:
    app.config["CLASSIC_ADD_SECONDS"] = 0
    job_id = client.post("/add", json={"a": 5, "b": 3}).get_json()["task_id"]
    run_attempt(app, job_id)
    assert client.get(f"/result/{job_id}").get_json() == {"status": "SUCCESS", "result": 8}


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("/welcome", {"user_id": "1"}, 422),
        ("/welcome", {"user_id": 1.5}, 422),
        ("/welcome", {"user_id": True}, 422),
        ("/welcome", {"user_id": None}, 422),
        ("/welcome", {}, 422),
        ("/welcome", {"user_id": 1, "more": 1}, 422),
        ("/welcome", [1], 422),
        ("/welcome", 1, 422),
        ("/add", {"a": 5}, 422),
        ("/add", {"a": 5, "b": "3"}, 422),
        ("/add", {"a": 5, "b": 3, "c": 1}, 422),
        ("/add", [5, 3], 422),
    ],
)
def test_wrong_fields_are_problem_documents_and_store_nothing(
    app: Flask, client: FlaskClient, route: str, body: Any, status: int
) -> None:
    answer = client.post(route, json=body)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.get_json()["errors"]
    assert stored(app) == []


@pytest.mark.parametrize("route", ["/welcome", "/add"])
@pytest.mark.parametrize(
    ("data", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"a": NaN, "b": 1}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"", "application/json", 400),
        (b"a=5&b=3", "application/x-www-form-urlencoded", 415),
        (b'{"a": "\\u0000", "b": 1}', "application/json", 422),
    ],
)
def test_wrong_bodies_are_problem_documents_and_store_nothing(
    app: Flask, client: FlaskClient, route: str, data: bytes, content_type: str, status: int
) -> None:
    answer = client.post(route, data=data, content_type=content_type)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert stored(app) == []


# -- forms, served by the API's POST /tasks/<task name> ------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "form", "kwargs"),
    [
        ("add", {"a": "5", "b": "3"}, {"a": 5, "b": 3}),
        ("block", {}, {}),
        ("process", {"total": "4"}, {"total": 4}),
    ],
)
def test_forms(app: Flask, client: FlaskClient, task: str, form: dict[str, str], kwargs: dict[str, int]) -> None:
    answer = client.post(f"/tasks/{task}", data=form)
    body = answer.get_json()
    (job,) = stored(app)
    assert answer.status_code == 202
    assert body["result_id"] == body["task_id"] == job.id
    assert (job.task, job.kwargs) == (task, kwargs)


def test_process_by_form_from_start_to_end(app: Flask, client: FlaskClient) -> None:
    job_id = client.post("/tasks/process", data={"total": "2"}).get_json()["result_id"]
    where = f"/tasks/result/{job_id}"
    assert client.get(where).get_json() == {"ready": False, "successful": None, "value": {"current": 0, "total": 2}}
    run_attempt(app, job_id)
    assert client.get(where).get_json() == {"ready": True, "successful": True, "value": {"current": 2, "total": 2}}


@pytest.mark.parametrize(
    "form", [{}, {"a": "5"}, {"a": "5", "b": ""}, {"a": "5", "b": "x"}, {"a": "5", "b": "3", "c": "1"}]
)
def test_wrong_forms(app: Flask, client: FlaskClient, form: dict[str, str]) -> None:
    answer = client.post("/tasks/add", data=form)
    assert (answer.status_code, answer.mimetype) == (422, "application/problem+json")
    assert stored(app) == []


# -- the switch --------------------------------------------------------------------------------------------------


def test_one_setting_turns_them_off(tmp_path: Path) -> None:
    app = create_app(settings_for(tmp_path, CLASSIC_ROUTES=False))
    client = app.test_client()
    statuses = [client.get(route.format(UNKNOWN)).status_code for route in [*READERS, "/run-task"]]
    statuses += [client.post(route, json={}).status_code for route in ["/longtask", "/welcome", "/add"]]
    assert statuses == [404] * 8
    assert "classic" not in app.blueprints
    dispose(app)
