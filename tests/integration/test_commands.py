"""Commands to copy: run by a real shell, curl by a real server, they make the job that the page shows."""

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from task_app.api.job import WholeJobSchema
from task_app.dashboard.commands import commands, curl, curl_for_job, flask_jobs, python_client
from task_app.jobs import service
from task_app.jobs.view import JobView
from task_app.tasks.examples import add

from .test_api_submit import add_task
from .test_cli_jobs import run

#: What shells, JSON and people stumble over.
NASTY = [
    "it's",
    "'",
    '"double"',
    "back\\slash \\n \\' \\\\",
    "$HOME ${x} $(touch /tmp/no) `touch /tmp/no`",
    "!history !!",
    "line\nbreak\r\n\ttab",
    "* ? [a] {b,c} ~ # ; & | < > ( )",
    "ünïcödé 😀 \u202e\u200b\u2028",
    "-x --data @/etc/passwd",
    "@/etc/passwd",
    "%s %d %%",
    "JSON",
    "",
    " ",
    "\x07\x1b[31m",
    "</pre><script>alert(1)</script>",
]
ALL = {"text": NASTY, "".join(NASTY): {"deep": [None, True, 1.5, 10**30, {}, []]}}


@pytest.fixture
def echo(app: Flask) -> None:
    """A task that takes everything."""

    def echo(*args: Any, **kwargs: Any) -> Any: ...

    add_task(app, echo, name="echo")


@pytest.fixture
def server(app: Flask, echo: None) -> Iterator[str]:
    """The address of a real server of the app."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def in_shell(shell: str, command: str, **environment: str) -> str:
    done = subprocess.run(
        [shell],
        input=command,  # as typed; one word of a command line is limited
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
    )
    return done.stdout


def words_of(command: str) -> list[str]:
    """Return the words that a shell makes of a `flask` command."""
    return in_shell("sh", f'flask() {{ for word in "$@"; do printf \'%s\\0\' "$word"; done; }}\n{command}').split("\0")[
        :-1
    ]


def made(app: Flask, job_id: str) -> JobView:
    with app.app_context():
        return service.get(job_id)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_curl_sends_what_the_page_shows(app: Flask, server: str, shell: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"task": "echo", "args": [1, ALL], "kwargs": ALL, "tags": ["it's", "ü"], "priority": 3},
        *({"task": "echo", "kwargs": {text: text}} for text in NASTY),
    ]
    for body in bodies:
        job = json.loads(in_shell(shell, curl(body, server) + " --silent --fail-with-body"))
        assert WholeJobSchema().validate(job) == {}
        for name, value in body.items():
            assert job[name] == value


def test_arguments_that_are_too_long_come_from_the_service(app: Flask, client: FlaskClient, server: str) -> None:
    body = {"task": "echo", "args": ["it's \\ $x 😀\n" * 20_000], "kwargs": {"a": ALL}, "tags": ["x"], "max_retries": 2}
    first = client.post("/tasks", json=body).get_json()
    with app.test_request_context():
        assert commands(body, server, needs_key=False) == []
        command = curl_for_job(service.get(first["task_id"]), server)
        with_key = curl_for_job(service.get(first["task_id"]), server, needs_key=True)
    assert len(command) < 1000 and with_key.count("Bearer $TASK_APP_KEY") == 2
    again = json.loads(in_shell("sh", f"{command} --silent --fail-with-body"))
    assert again["task_id"] != first["task_id"]
    for name, value in body.items():
        assert again[name] == value


def test_curl_brings_the_key_of_who_runs_it(app: Flask, server: str) -> None:
    command = curl({"task": "echo"}, server, needs_key=True)
    assert '-H "Authorization: Bearer $TASK_APP_KEY"' in command
    spoken = command.replace("curl -X POST", "printf '<%s>'")
    assert "<Authorization: Bearer it's a key>" in in_shell("sh", spoken, TASK_APP_KEY="it's a key")


def test_a_job_can_be_asked_for_again(app: Flask, client: FlaskClient, server: str) -> None:
    body = {"task": "echo", "args": [ALL], "kwargs": ALL, "queue": "q", "priority": 8, "tags": ["x"], "max_retries": 2}
    first = client.post("/tasks", json={**body, "eta": "2100-01-01T00:00:00Z"}).get_json()
    with app.test_request_context():
        command = curl_for_job(service.get(first["task_id"]), server)
    again = json.loads(in_shell("sh", f"{command} --silent --fail-with-body"))
    for name, value in body.items():
        assert again[name] == value
    assert again["task_id"] != first["task_id"] and again["due_at"] is None
    plain = client.post("/tasks", json={"task": "add", "args": [1, 2]}).get_json()
    with app.test_request_context():
        assert '{"task": "add", "args": [1, 2]}' in curl_for_job(service.get(plain["task_id"]), server)


def test_the_command_of_a_job_whose_task_is_gone_can_still_be_shown(app: Flask) -> None:
    job = JobView.from_row(
        {"id": "1", "task": "gone", "args": "[1]", "kwargs": "{}", "queue": "celery", "priority": 5, "message": None}
        | dict.fromkeys(("state", "attempt", "retries", "version", "created_at"), 0)
    )
    with app.test_request_context():
        assert '{"task": "gone", "args": [1], "queue": "celery"}' in curl_for_job(job, "http://localhost")


BODIES: list[dict[str, Any]] = [
    {"task": "add", "kwargs": {"a": -1, "b": 2, "delay": 0.5}},
    {"task": "add", "args": [1, 2], "queue": "slow", "priority": 9, "tags": ["it's", "-x"], "time_limit": 1.5},
    {"task": "add", "args": [1], "kwargs": {"b": 2}, "max_retries": 0, "soft_time_limit": 1},
    {"task": "send_email", "kwargs": {"to": "a@example.com", "subject": "it's $HOME", "body": "two\nlines"}},
    {"task": "send_email", "kwargs": {"to": "a@example.com", "subject": "\"x=y\" 'z'", "body": "ü 😀"}},
    {"task": "echo", "args": [ALL], "kwargs": ALL},
    *({"task": "echo", "kwargs": {"text": text}} for text in NASTY),
    *({"task": "echo", "kwargs": {"x": value}} for value in (5, "5", [1], ["1", "2"], [], None, True, {"a": 1})),
    *({"task": "echo", "kwargs": {name: "x"}} for name in ("-dash", "--json", "a=b", "", "ü")),
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.usefixtures("echo")
def test_the_flask_command_submits_what_the_page_shows(
    app: Flask, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
) -> None:
    monkeypatch.setattr("task_app.startup.start_or_exit", lambda app: None)
    with app.app_context():
        command = flask_jobs(body)
    done = run(app, *words_of(command))
    assert done.exit_code == 0, done.output
    check(made(app, done.stdout.strip()), body)


def test_the_flask_command_has_the_moment(app: Flask) -> None:
    with app.app_context():
        command = flask_jobs({"task": "add", "args": [1, 2], "eta": "2100-01-01T00:00:00Z"})
    assert words_of(command)[:3] == ["jobs", "submit", "add"]
    assert "--eta 2100-01-01T00:00:00Z" in command


def test_simple_arguments_stand_as_name_and_value(app: Flask) -> None:
    with app.app_context():
        assert flask_jobs({"task": "add", "kwargs": {"a": 1, "b": 2}}) == "flask jobs submit add a=1 b=2"


@pytest.mark.parametrize(
    "body",
    [
        {"task": "add", "kwargs": {"a": 1, "b": 2}},
        {"task": "add", "args": [1], "kwargs": {"b": 2}, "tags": ["it's"], "eta": "2100-01-01T00:00:00Z"},
    ],
)
def test_python_lines_submit_what_the_page_shows(app: Flask, body: dict[str, Any]) -> None:
    with app.app_context():
        (text,) = (each.text for each in commands(body, "http://localhost", needs_key=False) if each.name == "Python")
        lines = text.splitlines()
        lines[-1] = f"result = {lines[-1]}"
        names: dict[str, Any] = {}
        exec("\n".join(lines), names)
    assert names["add"].name == add.name
    check(made(app, names["result"].id), body)


@pytest.mark.usefixtures("echo")
def test_a_task_that_cannot_be_imported_has_no_python_line(app: Flask) -> None:
    with app.app_context():
        assert "Python" not in [each.name for each in commands({"task": "echo"}, "http://localhost", needs_key=False)]


CLIENT_BODIES: list[dict[str, Any]] = [
    {"task": "echo", "args": [1, ALL], "kwargs": {"a": ALL}, "tags": ["it's"], "eta": "2100-01-01T00:00:00Z"},
    {"task": "echo", "kwargs": {"queue": "an argument", "from": 1, "a b": 2}, "queue": "q", "priority": 9},
    {"task": "echo", "kwargs": {}, "expires": 60, "time_limit": 1.5, "max_retries": 0},
]


@pytest.mark.parametrize("needs_key", [False, True])
@pytest.mark.parametrize("body", CLIENT_BODIES)
def test_lines_for_another_program_submit_what_the_page_shows(
    app: Flask, server: str, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], needs_key: bool
) -> None:
    monkeypatch.setenv("TASK_APP_KEY", "nobody asks for it here")
    app.config["AUTH"] = "off"
    with app.app_context():
        text = python_client(body, server, needs_key=needs_key)
    names: dict[str, Any] = {}
    exec(text, names)
    names["client"].close()
    check(made(app, names["job"].id if "job" in names else names["job_id"]), body)


def check(job: JobView, body: dict[str, Any]) -> None:
    assert (job.task, job.args, job.kwargs) == (body["task"], body.get("args", []), body.get("kwargs", {}))
    assert job.queue == body.get("queue", "celery") and job.priority == body.get("priority", 5)
    assert job.tags == body.get("tags", [])
    for name, value in job.options.items():
        assert value == body.get(name)
