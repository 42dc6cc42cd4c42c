"""The pages on which jobs are made: choose a task, fill in its form, submit it, or retry a job with other arguments."""

import json
from collections.abc import Iterator
from typing import Annotated, Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import validate
from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from task_app.jobs.ids import new_id
from task_app.jobs.runtime import JobRuntime

from ..factories import insert_job
from ..html_form import HtmlForm
from .test_api_read import start, succeed
from .test_api_submit import add_task, errors_of, stored

HTML = {"Accept": "text/html"}


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    """A connection to the database of the app."""
    here: JobRuntime = app.extensions["jobs"]
    with here.engine.connect() as connection:
        yield connection


def form_of(client: FlaskClient, url: str) -> MultiDict[str, str]:
    """Return what the form of a page would send."""
    response = client.get(url, headers=HTML)
    assert response.status_code == 200, response.text
    return HtmlForm(response.text).values


def send(client: FlaskClient, url: str, values: MultiDict[str, str], **typed: Any) -> TestResponse:
    """Send a form after typing over some of it; names of arguments as they are, of options with `option_` before."""
    again = values.copy()
    for name, text in typed.items():
        key = f"option-{name.removeprefix('option_')}" if name.startswith("option_") else f"arg-{name}"
        again.setlist(key, [text])
    return client.post(url, data=again, headers=HTML)


def job_of(client: FlaskClient, response: TestResponse) -> Any:
    """Return the JSON of the job that a form led to."""
    assert response.status_code == 303, HtmlForm(response.text).texts
    return client.get(f"/tasks/{response.location.rpartition('/')[2]}").get_json()


def messages(response: TestResponse) -> dict[str, str]:
    """Return the messages beside the fields of a refused form, by the field's id."""
    texts = HtmlForm(response.text).texts
    return {key.removesuffix("-error"): text for key, text in texts.items() if key.endswith("-error")}


# -- choosing --------------------------------------------------------------------------------------------------------


def test_every_public_task_can_be_chosen(app: Flask, client: FlaskClient) -> None:
    def nothing() -> None: ...

    add_task(app, nothing, name="of.a.module/with slash")
    add_task(app, nothing, name="secret", public=False)
    page = client.get("/new", headers=HTML).text
    for name in [kind["name"] for kind in client.get("/task-types").get_json()]:
        assert f">{name}</a>" in page
    assert "secret" not in page and "celery.chord" not in page
    assert client.get("/new/of.a.module/with%20slash", headers=HTML).status_code == 200
    for name in ("secret", "celery.chord", "nothing", "%00"):
        assert client.get(f"/new/{name}", headers=HTML).status_code == 404
        assert client.post(f"/new/{name}", data={}, headers=HTML).status_code in (400, 404)


def test_the_list_can_be_searched_without_a_script(client: FlaskClient) -> None:
    page = client.get("/new?q=MAIL+welcome", headers=HTML).text
    assert "send_welcome_email</a>" in page and "send_email</a>" not in page
    assert "No task matches" in client.get("/new?q=nothing<b>", headers=HTML).text


# -- submitting ------------------------------------------------------------------------------------------------------


def test_a_filled_form_makes_the_job_that_json_makes(client: FlaskClient) -> None:
    response = send(client, "/new/add", form_of(client, "/new/add"), a="1", b="-2", delay="0.5")
    job = job_of(client, response)
    assert (job["task"], job["args"], job["kwargs"]) == ("add", [], {"a": 1, "b": -2, "delay": 0.5})
    by_json = client.post("/tasks", json={"task": "add", "kwargs": job["kwargs"]}).get_json()
    for key in ("kwargs", "queue", "priority", "tags", "max_retries", "due_at", "expires_at"):
        assert by_json[key] == job[key]


def test_every_option_has_a_field(client: FlaskClient) -> None:
    job_id = str(uuid4())
    values = form_of(client, "/new/add")
    values["option-eta:zone"] = values["option-expires_at:zone"] = "Europe/Vienna"
    job = job_of(
        client,
        send(
            client,
            "/new/add",
            values,
            a="1",
            b="2",
            option_queue="mail",
            option_priority="9",
            option_tags="a\r\nünï\r\n",
            option_eta="2100-01-01T02:00",
            option_expires_at="2100-07-01T02:00",
            option_max_retries="0",
            option_soft_time_limit="1.5",
            option_time_limit="2",
            option_task_id=job_id.upper(),
        ),
    )
    assert job["task_id"] == job_id
    assert (job["queue"], job["priority"], job["tags"]) == ("mail", 9, ["a", "ünï"])
    assert (job["due_at"], job["expires_at"]) == ("2100-01-01T01:00:00.000000Z", "2100-07-01T00:00:00.000000Z")
    assert (job["max_retries"], job["soft_time_limit"], job["time_limit"]) == (0, 1.5, 2)
    late = job_of(client, send(client, "/new/add", form_of(client, "/new/add"), a="1", b="2", option_countdown="60"))
    assert late["due_at"] is not None and late["expires_at"] is None


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("queue", "no spaces", "String does not match expected pattern."),
        ("priority", "10", "Must be greater than or equal to 0 and less than or equal to 9."),
        ("priority", "x", "Not a valid integer."),
        ("countdown", "-1", "Must be greater than or equal to 0 and less than or equal to"),
        ("eta", "soon", "Not an ISO 8601 time with a zone, such as 2030-01-31T12:00:00Z."),
        ("eta", "1969-01-31T12:00", "Must be a time from 1970 to 9998."),
        ("expires_in", "0", "Must be greater than 0"),
        ("expires_at", "2000-01-01T00:00", "The job would expire before it may run."),
        ("tags", "a\r\n b", "1: Must not begin or end with white space."),
        ("max_retries", "-1", "Must be greater than or equal to 0 and less than or equal to 1000."),
        ("time_limit", "0", "Must be greater than 0"),
        ("task_id", "x", "Not a valid UUID."),
    ],
)
def test_options_are_refused_beside_their_fields(
    app: Flask, client: FlaskClient, option: str, text: str, message: str
) -> None:
    response = send(client, "/new/add", form_of(client, "/new/add"), a="1", b="2", **{f"option_{option}": text})
    assert response.status_code == 422
    found = messages(response)
    assert found.keys() == {f"option-{option}"}
    assert message.removeprefix("1: ") in found[f"option-{option}"]
    assert '<details class="options" open>' in response.text
    assert HtmlForm(response.text).values[f"option-{option}"] == text
    assert stored(app) == []


def test_options_that_contradict_each_other_are_refused(client: FlaskClient) -> None:
    def refused(**typed: str) -> dict[str, str]:
        return messages(send(client, "/new/add", form_of(client, "/new/add"), a="1", b="2", **typed))

    assert refused(option_countdown="1", option_eta="2100-01-01T02:00").keys() == {"option-eta"}
    assert refused(option_expires_in="1", option_expires_at="2100-01-01T02:00").keys() == {"option-expires_at"}
    assert refused(option_countdown="5", option_expires_in="1").keys() == {"option-expires_in"}
    assert refused(option_soft_time_limit="5", option_time_limit="1").keys() == {"option-soft_time_limit"}


def test_a_wrong_form_comes_back_as_it_was_typed(app: Flask, client: FlaskClient) -> None:
    def mixed(
        number: int, text: Annotated[str, validate.Length(max=3)], data: dict[str, int], flag: bool = True
    ) -> None:
        """Take a few."""

    add_task(app, mixed, name="mixed")
    values = form_of(client, "/new/mixed")
    values.setlist("arg-flag", ["false"])  # unticked
    response = send(client, "/new/mixed", values, number="1x", text="too <long>", data='{"a": 1,\r\n"b" 2}')
    assert response.status_code == 422
    assert messages(response) == {
        "arg-number": "Not a valid integer.",
        "arg-text": "Longer than maximum length 3.",
        "arg-data": "Line 2, column 5: Expecting ':' delimiter.",
    }
    page = HtmlForm(response.text)
    shown = [page.values[f"arg-{name}"] for name in ("number", "text", "data", "flag")]
    assert shown == ["1x", "too <long>", '{"a": 1,\r\n"b" 2}', "false"]
    assert "arg-flag" in page.unticked
    for name in ("number", "text", "data"):
        assert page.attributes[f"arg-{name}"]["aria-invalid"] == "true"
        assert f'<a href="#arg-{name}">' in response.text  # in the summary
    assert "<title>Error: " in response.text
    assert stored(app) == []
    # Repaired and sent, it is one job.
    repaired = send(client, "/new/mixed", page.values, number="1", text="abc", data='{"a": 1}')
    assert job_of(client, repaired)["kwargs"] == {"number": 1, "text": "abc", "data": {"a": 1}, "flag": False}


def test_the_form_and_the_api_refuse_the_same(client: FlaskClient) -> None:
    values = form_of(client, "/new/process")
    for total in ("-1", "100001", "1.5"):
        by_form = messages(send(client, "/new/process", values, total=total))["arg-total"]
        by_json = errors_of(client.post("/tasks", json={"task": "process", "kwargs": {"total": json.loads(total)}}))
        assert by_form == by_json["kwargs"]["total"][0]


def test_sent_twice_a_form_makes_one_job(app: Flask, client: FlaskClient) -> None:
    values = form_of(client, "/new/add")
    typed = {"a": "1", "b": "2", "option_tags": "x\r\nx", "option_priority": "3", "option_countdown": "60"}
    first, second = (send(client, "/new/add", values, **typed) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.location == second.location == f"/jobs/{values['form_id']}"
    assert len(stored(app)) == 1
    assert form_of(client, "/new/add")["form_id"] != values["form_id"]


@pytest.mark.parametrize("changed", [{"a": "5"}, {"option_priority": "4"}, {"option_tags": "x"}, {"option_queue": "q"}])
def test_a_form_that_was_changed_after_it_was_sent_asks_again(
    app: Flask, client: FlaskClient, changed: dict[str, str]
) -> None:
    values = form_of(client, "/new/add")
    assert send(client, "/new/add", values, a="1", b="2").status_code == 303
    response = send(client, "/new/add", values, **({"a": "1", "b": "2"} | changed))
    assert response.status_code == 409
    assert values["form_id"] in response.text
    again = HtmlForm(response.text).values
    assert again["form_id"] != values["form_id"]
    assert client.post("/new/add", data=again, headers=HTML).status_code == 303
    assert len(stored(app)) == 2


def test_an_id_of_ones_own_that_is_taken_is_refused_beside_its_field(app: Flask, client: FlaskClient) -> None:
    job_id = new_id()
    client.post("/tasks", json={"task": "add", "args": [1, 2], "task_id": job_id})
    response = send(client, "/new/add", form_of(client, "/new/add"), a="1", b="2", option_task_id=job_id)
    assert (response.status_code, messages(response)) == (
        409,
        {"option-task_id": "This id is taken by another job."},
    )
    assert len(stored(app)) == 1


def test_arguments_have_a_limit(app: Flask, client: FlaskClient) -> None:
    def echo(text: str, more: str = "") -> None: ...

    add_task(app, echo, name="echo")
    text = "x" * (app.config["JOB_ARGUMENTS_LIMIT"] + 1)
    response = send(client, "/new/echo", form_of(client, "/new/echo"), text=text, more="a")
    assert response.status_code == 422
    assert messages(response)["arg-text"].startswith("Take more than ")
    fits = "x" * 500_000
    job = job_of(client, send(client, "/new/echo", form_of(client, "/new/echo"), text=fits))
    assert job["kwargs"] == {"text": fits}


def test_text_that_no_database_keeps_is_refused(client: FlaskClient) -> None:
    values = form_of(client, "/new/send_email")
    for body in ("a\0b", "\0"):
        response = send(client, "/new/send_email", values, to="a@example.com", subject="x", body=body)
        assert messages(response) == {"arg-body": "Must not contain NUL characters or lone surrogates."}


def test_a_form_needs_its_token(app: Flask, client: FlaskClient) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    values = form_of(client, "/new/add")
    assert values["csrf_token"]
    del values["csrf_token"]
    for url in ("/new/add", "/new-command/add", f"/jobs/{new_id()}/edit"):
        assert send(client, url, values, a="1", b="2").status_code == 400


def test_a_strange_form_is_an_error_of_its_sender(client: FlaskClient) -> None:
    token = form_of(client, "/new/add")["csrf_token"]
    for fields in (
        {},
        {"form_id": "x"},
        {"arg-a": "\ud800".encode("utf-8", "surrogatepass"), "arg-b": "1"},
        {"arg-a:json": "on", "arg-a": "[" * 10_000},
        {"arg-a:kept": "on", "arg-b:zone": "\0"},
        {"option-tags": "a\u200bb", "arg-a": "1", "arg-b": "2"},
        {"from": "\0" * 200},
    ):
        response = client.post("/new/add", data={"csrf_token": token, **fields}, headers=HTML)
        assert response.status_code == 422, fields


MARKUP = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'</textarea>"


def test_markup_stays_text_everywhere(app: Flask, client: FlaskClient, connection: Connection) -> None:
    def anything(text: str, **more: Any) -> None: ...

    anything.__doc__ = MARKUP
    add_task(app, anything, name="anything")
    job_id = insert_job(connection, task="anything", args="[]", kwargs=json.dumps({"text": MARKUP, MARKUP: MARKUP}))
    gone = insert_job(connection, task=MARKUP, args=json.dumps([MARKUP]))
    for job in (job_id, gone):
        start(connection, job)
        succeed(connection, job)
    values = form_of(client, f"/new/anything?from={job_id}")
    pages = [
        client.get("/new", headers=HTML),
        client.get(f"/new?q={MARKUP}", headers=HTML),
        client.get(f"/new/anything?from={job_id}", headers=HTML),
        client.get(f"/jobs/{job_id}/edit", headers=HTML),
        client.get(f"/jobs/{gone}/edit", headers=HTML),
        client.post("/new-command/anything", data=values, headers=HTML),
        send(client, "/new/anything", values, option_queue=MARKUP, option_tags=MARKUP),
    ]
    for page in pages:
        assert page.mimetype == "text/html"
        assert "<script>alert" not in page.text and "<img" not in page.text
    assert values["arg-text"] == MARKUP


# -- from a job ------------------------------------------------------------------------------------------------------


def test_a_job_can_be_made_like_another(client: FlaskClient) -> None:
    body = {"task": "add", "args": [1], "kwargs": {"b": 2, "delay": 0}, "queue": "q", "priority": 7, "tags": ["x"]}
    like = client.post("/tasks", json={**body, "max_retries": 3}).get_json()
    values = form_of(client, f"/new/add?from={like['task_id']}")
    job = job_of(client, client.post("/new/add", data=values, headers=HTML))
    assert job["task_id"] != like["task_id"]
    for key in ("args", "kwargs", "queue", "priority", "tags", "max_retries"):
        assert job[key] == like[key]


def test_a_job_that_is_gone_or_of_another_task_fills_nothing_in(client: FlaskClient) -> None:
    other = client.post("/tasks", json={"task": "block"}).get_json()["task_id"]
    for job_id in (other, new_id(), "\0", "", "ä"):
        assert form_of(client, f"/new/add?from={job_id}")["arg-a"] == ""


# -- retry with edited arguments -------------------------------------------------------------------------------------


@pytest.fixture
def ended(connection: Connection) -> str:
    """The id of a job that has succeeded."""
    job_id = insert_job(connection, args="[1]", kwargs='{"b":2}')
    start(connection, job_id)
    succeed(connection, job_id)
    return job_id


def test_a_job_is_retried_with_edited_arguments(client: FlaskClient, ended: str) -> None:
    url = f"/jobs/{ended}/edit"
    values = form_of(client, url)
    assert (values["arg-a"], values["arg-b"]) == ("1", "2")
    refused = send(client, url, values, a="x")
    assert (refused.status_code, messages(refused)) == (422, {"arg-a": "Not a valid integer."})
    assert client.get(f"/tasks/{ended}").get_json()["task_status"] == "SUCCESS"
    for _ in range(2):  # a double click runs it once
        job = job_of(client, send(client, url, values, a="5"))
        assert (job["task_status"], job["attempt"], job["args"], job["kwargs"]) == ("PENDING", 2, [5], {"b": 2})


def test_other_arguments_after_the_retry_are_refused(client: FlaskClient, ended: str) -> None:
    values = form_of(client, f"/jobs/{ended}/edit")
    assert send(client, f"/jobs/{ended}/edit", values, a="5").status_code == 303
    late = send(client, f"/jobs/{ended}/edit", values, a="6")
    assert late.status_code == 409 and "PENDING" in late.text
    assert client.get(f"/tasks/{ended}").get_json()["args"] == [5]


def test_a_form_of_an_earlier_attempt_is_not_taken_unseen(client: FlaskClient, ended: str) -> None:
    values = form_of(client, f"/jobs/{ended}/edit")
    client.post(f"/tasks/{ended}/retry")
    client.post(f"/tasks/{ended}/cancel")
    late = send(client, f"/jobs/{ended}/edit", values, a="6")
    assert late.status_code == 409 and "has run again" in late.text
    again = HtmlForm(late.text).values
    assert (again["arg-a"], again["attempt"]) == ("6", "2")
    assert job_of(client, client.post(f"/jobs/{ended}/edit", data=again, headers=HTML))["args"] == [6]


def test_what_cannot_be_retried_says_why(client: FlaskClient, connection: Connection) -> None:
    waiting, gone = insert_job(connection), insert_job(connection, task="gone", args='["<b>"]')
    start(connection, gone)
    succeed(connection, gone)
    for job_id, words in (
        (waiting, "It can&#39;t be retried: it is PENDING"),
        (gone, "There is no task gone any more"),
    ):
        for response in (
            client.get(f"/jobs/{job_id}/edit", headers=HTML),
            client.post(
                f"/jobs/{job_id}/edit", data={"csrf_token": form_of(client, "/new/add")["csrf_token"]}, headers=HTML
            ),
        ):
            assert response.status_code == 409
            assert words in response.text
    for job_id in (new_id(), "%00", "%F0"):
        assert client.get(f"/jobs/{job_id}/edit", headers=HTML).status_code == 404


def test_an_id_that_no_job_can_have_reaches_no_database(every_database: Flask) -> None:
    client = every_database.test_client()
    for job_id in ("%00", "a%00b", "%ED%A0%80", "x" * 200):
        for path in ("edit", ""):
            assert client.get(f"/jobs/{job_id}/{path}".rstrip("/"), headers=HTML).status_code == 404


def test_a_large_argument_is_kept_unseen(app: Flask, client: FlaskClient, connection: Connection) -> None:
    def echo(text: str, times: int = 1) -> None: ...

    add_task(app, echo, name="echo")
    text = "lorem ipsum " * 40_000
    job_id = insert_job(connection, task="echo", args="[]", kwargs=json.dumps({"text": text}))
    start(connection, job_id)
    succeed(connection, job_id)
    assert len(client.get(f"/new/echo?from={job_id}", headers=HTML).text) < 40_000
    alike = job_of(client, client.post("/new/echo", data=form_of(client, f"/new/echo?from={job_id}"), headers=HTML))
    assert alike["kwargs"] == {"text": text}
    page = client.get(f"/jobs/{job_id}/edit", headers=HTML).text
    assert len(page) < 30_000
    assert text in client.get(f"/jobs/{job_id}/edit?all=1", headers=HTML).text
    job = job_of(client, send(client, f"/jobs/{job_id}/edit", HtmlForm(page).values, times="2"))
    assert job["kwargs"] == {"text": text, "times": 2}


# -- the commands beside the form ------------------------------------------------------------------------------------


def test_commands_follow_the_form(client: FlaskClient) -> None:
    values = form_of(client, "/new/add")
    values["arg-a"], values["option-tags"] = "5", "it's"
    page = client.post("/new-command/add", data=values, headers=HTML)
    texts = HtmlForm(page.text).texts
    assert json.dumps({"task": "add", "kwargs": {"a": 5}, "tags": ["it's"]})[1:-3] in texts["command-curl"].replace(
        "'\"'\"'", "'"
    )
    assert texts["command-flask"] == """flask jobs submit add a=5 '--tag=it'"'"'s'"""
    assert "add.apply_async(kwargs={'a': 5}, tags=[\"it's\"])" in texts["command-python"]
    assert "Without what is missing or wrong: b." in page.text
    assert "form_id" not in page.text and values["form_id"] not in page.text


def test_long_commands_are_shown_in_part(app: Flask, client: FlaskClient) -> None:
    def echo(text: str) -> None: ...

    add_task(app, echo, name="echo")
    values = form_of(client, "/new/echo")
    values["arg-text"] = "x" * 10_000
    page = client.post("/new-command/echo", data=values, headers=HTML).text
    assert HtmlForm(page).texts["command-flask"] == f"flask jobs submit echo text={values['arg-text']}"
    assert page.count("Only the beginning is shown") == page.count(" hidden>") > 2
    values["arg-text"] = "x" * 200_000
    page = client.post("/new-command/echo", data=values, headers=HTML).text
    assert "too long for a command" in page and len(page) < 1000
