"""Nothing a client sends ends in a 500: generated requests against every route."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from celery import Celery
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Connection
from werkzeug.routing import Rule

from task_app.web import streams
from task_app.web.lists import ListQuerySchema
from task_app.web.submission import SubmissionSchema

from ..factories import insert_job
from .test_api_read import app, connection, start, succeed

__all__ = ["app", "connection"]

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
RELAXED = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    database=None,
)


@pytest.fixture(autouse=True)
def _short_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let streams that have no end of their own end after the first event."""
    monkeypatch.setattr(streams, "LONGEST", 0.0)
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)


def test_every_documented_operation_answers_as_documented(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    celery: Celery = app.extensions["celery"]
    # /readyz answers 200 with it.
    monkeypatch.setitem(celery.conf, "broker_url", "memory://")
    monkeypatch.setitem(celery.conf, "broker_write_url", "memory://")
    # Not through schemathesis' fixtures: they reach into a private part of pytest that pytest 9 has no more.
    document = schemathesis.openapi.from_wsgi("/openapi.json", app)
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 15
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(RELAXED, max_examples=12)
        def conforms(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        conforms()


# -- by hand: what no description admits -------------------------------------------------------------------------

TEXT = st.text(st.characters() | st.sampled_from("\0\ud800\udfff/%?#+ "), max_size=20)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 1, 9, 10, 2**63, 1e308, 5e-324])
ODD_TEXT = st.sampled_from(
    [
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "2030-01-31T12:00:00Z",
        "2030-W05-4T12Z",
        "00000000-0000-0000-0000-000000000000",
        "add",
        "process",
        "flaky",
        "A" * 300,
        "x" * 10_000,
    ]
)
ODD = ODD_TEXT | st.sampled_from(
    [
        {"__type__": "datetime", "__value__": "x"},
        {"__type__": "decimal", "__value__": "NaN"},
        ["x\0"],
        ["\ud800"],
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT | ODD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
OPTION_NAMES = [*SubmissionSchema().fields, "jobs"]
ARGUMENT_NAMES = ["a", "b", "delay", "total", "user_id", "to", "subject", "body"]
FIELDS = st.sampled_from([*OPTION_NAMES, *ARGUMENT_NAMES])
TASKS = st.sampled_from(["add", "process", "block", "send_email", "flaky"])
OPTIONS = st.dictionaries(FIELDS, VALUES, max_size=2)
SUBMISSIONS = st.builds(lambda task, options: {"task": task, **options}, TASKS | TEXT, OPTIONS)
BODIES = st.one_of(
    SUBMISSIONS.map(json.dumps).map(str.encode),
    st.lists(SUBMISSIONS, max_size=3).map(json.dumps).map(str.encode),
    st.dictionaries(FIELDS | TEXT, VALUES, max_size=4).map(json.dumps).map(str.encode),
    VALUES.map(json.dumps).map(str.encode),
    st.binary(max_size=50),
    st.just(b""),
)
TYPES = st.sampled_from(
    [
        "application/json",
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
        "\xff",
    ]
)
NAMES = ["wait", *ListQuerySchema().fields]
QUERIES = st.dictionaries(st.sampled_from(NAMES) | TEXT, TEXT | NUMBERS.map(str) | ODD_TEXT, max_size=3).map(
    lambda query: "&".join(f"{percent(name)}={percent(value)}" for name, value in query.items())
)
RAW_QUERIES = st.binary(max_size=30).map(lambda raw: raw.decode("latin-1").replace("#", ""))
LATIN = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]))
HEADERS = st.dictionaries(st.sampled_from(["Last-Event-ID", "Accept", "Content-Encoding"]), LATIN)
METHODS = st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE"])


def percent(text: str) -> str:
    """Quote text as it is, lone surrogates included."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def path_of(rule: Rule, value: str) -> str:
    """Put a value in place of each variable of a rule."""
    return "".join(percent(value) if is_dynamic else part for is_dynamic, part in rule._trace)[1:]


def insert_ended(connection: Connection) -> str:
    """Return the id of an ended job: its stream of events has an end."""
    job_id = insert_job(connection)
    start(connection, job_id)
    succeed(connection, job_id)
    return job_id


@pytest.fixture
def ask(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Send a request and make sure that the answer is no 500, and that errors look as they should."""
    monkeypatch.setitem(app.config, "WAIT_LIMIT", 0.01)
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    client = app.test_client()

    def ask(method: str, path: str, query: str = "", **request: Any) -> None:
        environ = {"QUERY_STRING": query}
        with client.open(path, method=method, environ_overrides=environ, **request) as response:
            assert response.status_code < 500, (method, path, query, request, response.data)
            is_form = response.mimetype == "text/html" and response.status_code in (409, 422)
            # A form is shown again, with what is wrong beside its fields.
            if response.status_code >= 400 and method != "HEAD" and not is_form:
                assert response.mimetype == "application/problem+json"
                assert response.get_json(force=True)["status"] == response.status_code

    return ask


@given(st.data(), BODIES, TYPES, QUERIES | RAW_QUERIES, HEADERS)
@settings(RELAXED, max_examples=120)
def test_no_request_to_any_route_ends_in_a_500(
    app: Flask,
    connection: Connection,
    ask: Callable[..., None],
    data: st.DataObject,
    body: bytes,
    content_type: str,
    query: str,
    headers: dict[str, str],
) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint not in ("static", "health.readyz")]
    rule = data.draw(st.sampled_from(rules))
    method = data.draw(st.sampled_from(sorted(rule.methods or ())) | METHODS)
    names = st.sampled_from(["add", "process", "batch", insert_ended(connection)])
    path = path_of(rule, data.draw(names | TEXT))
    ask(method, path, query, data=body, content_type=content_type, headers=headers)


@given(OPTIONS, st.dictionaries(st.sampled_from(["to", "subject", "body"]), TEXT | VALUES, max_size=2), st.booleans())
@settings(RELAXED, max_examples=60)
def test_no_submission_ends_in_a_500(
    connection: Connection, ask: Callable[..., None], options: dict[str, Any], changed: dict[str, Any], bare: bool
) -> None:
    good = {"to": "a@example.org", "subject": "x", "body": "x"}
    submission = {"task": "send_email", "kwargs": {**good, **changed}, **options}
    for path, body in (
        ("/tasks", submission),
        ("/tasks/batch", [submission] if bare else {"jobs": [submission]}),
        ("/tasks/send_email", submission["kwargs"]),
        (f"/tasks/{insert_ended(connection)}/retry", {"args": [1], "kwargs": submission["kwargs"]}),
    ):
        ask("POST", path, data=json.dumps(body), content_type="application/json")


@given(st.sampled_from(NAMES), TEXT | NUMBERS.map(str) | ODD_TEXT)
@settings(RELAXED, max_examples=80)
def test_no_query_ends_in_a_500(connection: Connection, ask: Callable[..., None], name: str, value: str) -> None:
    for path in ("/tasks", f"/tasks/{insert_ended(connection)}"):
        ask("GET", path, f"{name}={percent(value)}")


@given(TEXT)
@settings(RELAXED, max_examples=40)
def test_no_id_ends_in_a_500(ask: Callable[..., None], job_id: str) -> None:
    for method, action in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry"), ("DELETE", "")):
        ask(method, f"/tasks/{percent(job_id)}{action}")
