"""How errors look: RFC 9457 everywhere, nothing of the inside, and never a 500 for what a client sent."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.serving import make_server

from task_app import create_app

from ..conftest import dispose, settings_for
from .test_api_submit import problem_of, stored

JSON = "application/json"

UNREADABLE = {
    "nothing": b"",
    "half an object": b'{"task": "add"',
    "two values": b"{} {}",
    "single quotes": b"{'task': 'add'}",
    "NaN": b'{"task": "add", "kwargs": {"a": NaN}}',
    "Infinity": b'{"task": "add", "kwargs": {"a": Infinity}}',
    "-Infinity": b'{"task": "add", "kwargs": {"a": -Infinity}}',
    "too large a float": b'{"task": "add", "kwargs": {"a": 1e999}}',
    "too large an integer": b'{"task": "add", "kwargs": {"a": ' + b"9" * 5000 + b"}}",
    "not UTF-8": b'{"task": "\xff"}',
    "UTF-16": '{"task": "add"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a control character": b'{"task": "a\x00"}',
    "nested lists": b'{"args": ' + b"[" * 200 + b"]" * 200 + b"}",
    "far too deep": b"[" * 1_000_000,
    "nested objects": b'{"a":' * 500 + b"1" + b"}" * 500,
}


@pytest.mark.parametrize("path", ["/tasks", "/tasks/add", "/tasks/batch"])
@pytest.mark.parametrize("body", [pytest.param(body, id=name) for name, body in UNREADABLE.items()])
def test_what_cannot_be_read_as_json_is_a_bad_request(app: Flask, client: FlaskClient, path: str, body: bytes) -> None:
    response = client.post(path, data=body, content_type=JSON)
    # The arguments of a task may be left out altogether.
    problem_of(response, 422 if (path, body) == ("/tasks/add", b"") else 400)
    assert stored(app) == []


def test_a_key_given_twice_means_the_last(client: FlaskClient) -> None:
    response = client.post("/tasks", data=b'{"task": "x", "args": [1, 2], "task": "add"}', content_type=JSON)
    assert response.status_code == 202


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "x"])
@pytest.mark.parametrize("path", ["/tasks", "/tasks/batch"])
def test_another_content_type_is_refused(client: FlaskClient, path: str, content_type: str | None) -> None:
    problem_of(client.post(path, data=b'{"task": "block"}', content_type=content_type), 415)


def test_json_may_have_parameters_and_suffixes(client: FlaskClient) -> None:
    for content_type in ("application/json; charset=latin-1", "application/vnd.api+json"):
        assert client.post("/tasks", data=b'{"task": "block"}', content_type=content_type).status_code == 202


@pytest.mark.parametrize("path", ["/tasks", "/tasks/add", "/tasks/batch", "/tasks/nope/retry"])
def test_a_body_over_the_limit_is_refused(app: Flask, client: FlaskClient, path: str) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 1000
    body = b'{"task": "add", "args": [1, ' + b" " * 1000 + b"2]}"
    problem_of(client.post(path, data=body, content_type=JSON), 413)


def test_forms_have_limits_too(app: Flask, client: FlaskClient) -> None:
    app.config["MAX_FORM_MEMORY_SIZE"] = 1000
    big = {"a": "1", "b": "2" * 2000}
    problem_of(client.post("/tasks/add", data=big, content_type="multipart/form-data"), 413)
    app.config["MAX_CONTENT_LENGTH"] = 1000
    problem_of(client.post("/tasks/add", data=big), 413)


def test_a_broken_form_does_no_harm(client: FlaskClient) -> None:
    for boundary in ("", "; boundary=x", "; boundary=\xff"):
        content_type = f"multipart/form-data{boundary}"
        for body in (b"", b"--x", b"--x\r\n\r\n\xff", b"a=1"):
            assert client.post("/tasks/add", data=body, content_type=content_type).status_code == 422
    odd = b"a=%ff&b=%00&%00=1&=&&a"
    response = client.post("/tasks/add", data=odd, content_type="application/x-www-form-urlencoded")
    assert problem_of(response, 422)["errors"].keys() >= {"a", "b", "\0"}


def test_unknown_routes_and_methods(client: FlaskClient) -> None:
    problem_of(client.get("/nope"), 404)
    problem_of(client.get("/tasks/"), 404)
    problem_of(client.get("/tasks/a/b/c"), 404)
    problem_of(client.get("/tasks/a%2Fb"), 404)
    response = client.put("/tasks")
    problem_of(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    response = client.patch("/tasks/x")
    problem_of(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST", "DELETE"}


def test_what_is_fixed_goes_before_what_varies(client: FlaskClient) -> None:
    problem_of(client.post("/tasks/batch", json={}), 422)  # no task named "batch"
    for method in ("GET", "DELETE"):
        problem_of(client.open("/tasks/batch", method=method), 404)  # no job either
        problem_of(client.open("/tasks/add", method=method), 404)
    problem_of(client.post("/tasks/add/retry"), 404)
    problem_of(client.post("/tasks/batch/cancel"), 404)


def test_head_and_options(client: FlaskClient) -> None:
    for path, status in (("/tasks", 200), ("/healthz", 200), ("/task-types", 200), ("/tasks/nope", 404)):
        response = client.head(path)
        assert (response.status_code, response.data) == (status, b"")
        assert client.options(path).status_code == 200


def test_the_path_of_a_problem_is_a_uri(client: FlaskClient) -> None:
    document = problem_of(client.get("/tasks/%F0%9F%98%80%20?wait=1"), 404)
    assert document["instance"] == "/tasks/%F0%9F%98%80%20"


def test_our_own_errors_show_nothing_of_the_inside(
    tmp_path: Path, migrated_sqlite: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings_for(tmp_path, TESTING=False))

    def broken() -> str:
        raise RuntimeError("secret")

    app.add_url_rule("/broken", view_func=broken)
    response = app.test_client().get("/broken")
    assert "secret" not in str(problem_of(response, 500))
    assert "secret" in caplog.text
    dispose(app)


@pytest.fixture
def without_database(tmp_path: Path) -> Iterator[Flask]:
    """An app whose database is away."""
    app = create_app(settings_for(tmp_path, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/nowhere/test.db"))
    yield app
    dispose(app)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/tasks/block"),
        ("GET", "/tasks"),
        ("GET", "/tasks/x"),
        ("GET", "/tasks/x/events"),
        ("POST", "/tasks/x/cancel"),
        ("POST", "/tasks/x/retry"),
        ("DELETE", "/tasks/x"),
    ],
)
def test_an_absent_database_is_unavailable_and_worth_another_try(
    without_database: Flask, method: str, path: str
) -> None:
    response = without_database.test_client().open(path, method=method)
    document = problem_of(response, 503)
    assert int(response.headers["Retry-After"]) > 0
    assert "nowhere" not in str(document)


def test_a_database_that_complains_is_our_fault(app: Flask, client: FlaskClient) -> None:
    def broken() -> str:
        with app.extensions["jobs"].engine.connect() as connection:
            connection.execute(text("INSERT INTO job (id) VALUES ('x')"))
        return ""

    app.add_url_rule("/broken", view_func=broken)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    problem_of(client.get("/broken"), 500)


@pytest.fixture
def port(app: Flask) -> Iterator[int]:
    """The port of a real server: the test client knows no chunked bodies."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        # Cut off at the limit these would still make sense, and mean something else.
        ("/tasks", JSON, b'{"task": "block"}'.ljust(100) + b"!"),
        ("/tasks/add", "application/x-www-form-urlencoded", b"a=1&b=".ljust(101, b"2")),
    ],
)
def test_a_chunked_body_is_read_to_its_end_or_refused(
    app: Flask, port: int, path: str, content_type: str, body: bytes
) -> None:
    def status(limit: int) -> bytes:
        app.config["MAX_CONTENT_LENGTH"] = limit
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            with connection.makefile("rb") as answer:
                return answer.read().split()[1]

    assert status(limit=100) == b"413"
    assert stored(app) == []
    assert status(limit=101) == (b"400" if content_type == JSON else b"202")
