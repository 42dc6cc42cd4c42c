"""`flask jobs` and `flask workers`: what they print, and what they end with."""

import json
import threading
from datetime import UTC, datetime

import pytest
from click.testing import Result
from flask import Flask

from task_app.jobs import faults, service, transitions
from task_app.jobs.runtime import runtime
from task_app.jobs.states import State
from task_app.jobs.submission import Submission

ERROR = faults.fault("ValueError", "builtins", ["no"], "no such thing")


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app of the tests is ready; its broker is away."""
    monkeypatch.setattr("task_app.startup.start_or_exit", lambda app: None)


def run(app: Flask, *command: str) -> Result:
    return app.test_cli_runner().invoke(args=list(command))


def submitted(app: Flask) -> str:
    with app.app_context():
        return service.submit(Submission(task="add", kwargs='{"a":1,"b":2}')).id


def end(app: Flask, job_id: str, state: State) -> None:
    now = datetime.now(UTC)
    with app.app_context(), runtime().engine.connect() as connection:
        transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life-1", now=now)
        if state == State.SUCCESS:
            transitions.succeed(connection, job_id, 1, result='{"sum": 3}', children=None, now=now)
        else:
            transitions.end_badly(connection, job_id, 1, state=state, error=ERROR, now=now)


def test_a_job_is_submitted_and_its_id_printed(app: Flask) -> None:
    options = "--queue slow --priority 9 --tag red --tag blue --time-limit 60"
    done = run(app, *f"jobs submit add a=1 b=2 {options}".split())
    assert done.exit_code == 0, done.output
    with app.app_context():
        job = service.get(done.stdout.strip())
    assert (job.task, job.args, job.kwargs, job.queue, job.priority) == ("add", [], {"a": 1, "b": 2}, "slow", 9)
    assert (job.tags, job.options["time_limit"]) == (["red", "blue"], 60)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("jobs submit add a=x b=2", "Not a valid integer"),
        ("jobs submit add a=1", "Missing data"),
        ("jobs submit add a=1 b=2 c=3", "Unknown field"),
        ("jobs submit add a", "is not NAME=VALUE"),
        ("jobs submit add a=1 --kwargs {}", "not both"),
        ("jobs submit add --args {}", "not a JSON array"),
        ("jobs submit add --kwargs nonsense", "not JSON"),
        ("jobs submit nothing", "no task 'nothing'"),
        ("jobs submit add a=1 b=2 --priority 10", "0<=x<=9"),
        ("jobs show nobody", "nobody"),
        ("jobs watch nobody", "nobody"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(app: Flask, command: str, said: str) -> None:
    done = run(app, *command.split())
    assert done.exit_code in (1, 2)
    assert said in done.stderr and "Traceback" not in done.output
    assert run(app, "jobs", "list").stdout == ""


def test_a_list_is_for_people_pipes_and_programs(app: Flask) -> None:
    first, second = submitted(app), submitted(app)
    end(app, first, State.SUCCESS)
    lines = [line.split("\t") for line in run(app, "jobs", "list").stdout.splitlines()]
    assert [(line[0], line[1], line[2]) for line in lines] == [(second, "add", "PENDING"), (first, "add", "SUCCESS")]
    listed = json.loads(run(app, "jobs", "list", "--status", "SUCCESS", "--json").stdout)
    assert [job["task_id"] for job in listed] == [first]
    assert run(app, "jobs", "list", "--limit", "1").stdout.split("\t")[0] == second
    assert json.loads(run(app, "jobs", "show", first).stdout)["task_result"] == {"sum": 3}


@pytest.mark.parametrize(
    ("state", "code", "printed"),
    [(State.SUCCESS, 0, '{"sum": 3}'), (State.FAILURE, 1, "no such thing"), (State.REVOKED, 3, "no such thing")],
)
def test_the_exit_code_tells_the_outcome(app: Flask, state: State, code: int, printed: str) -> None:
    job_id = submitted(app)
    threading.Timer(0.3, end, (app, job_id, state)).start()
    done = run(app, "jobs", "watch", job_id, "--timeout", "30")
    assert done.exit_code == code
    assert printed in (done.stdout if code == 0 else done.stderr)
    assert done.stdout == "" or code == 0


def test_waiting_has_an_end(app: Flask) -> None:
    done = run(app, *["jobs", "submit", "add", "a=1", "b=2", "--wait", "--timeout", "0.2"])
    assert (done.exit_code, done.stdout) == (4, "")
    assert "is PENDING, waiting for broker" in done.stderr


def test_cancel_and_retry_say_what_became_of_each(app: Flask) -> None:
    waits, ended = submitted(app), submitted(app)
    end(app, ended, State.FAILURE)
    done = run(app, "jobs", "cancel", waits, ended, "nobody")
    assert done.exit_code == 1
    assert done.stdout == f"{waits}\trevoked\n"
    assert ended in done.stderr and "nobody" in done.stderr
    done = run(app, "jobs", "retry", ended, "--kwargs", '{"a": 5, "b": 6}')
    assert (done.exit_code, done.stdout) == (0, f"{ended}\tattempt 2 waits\n")
    with app.app_context():
        assert service.get(ended).kwargs == {"a": 5, "b": 6}
    assert run(app, "jobs", "retry", waits, "--kwargs", '{"a": "x", "b": 6}').exit_code == 1
    assert run(app, "jobs", "retry", ended).exit_code == 1, "it has not ended"


def test_queues_tell_what_waits_and_that_nobody_listens(app: Flask) -> None:
    assert run(app, "queues", "list").stdout == ""
    first, _ = submitted(app), submitted(app)
    now = datetime.now(UTC)
    with app.app_context(), runtime().engine.connect() as connection:
        transitions.mark_published(connection, [(first, 1)], now)
    queue, waiting, oldest, listeners, paused = run(app, "queues", "list").stdout.strip().split("\t")
    assert (queue, waiting, listeners, paused) == ("celery", "1", "nobody", "-") and oldest.endswith("ago")
    (shown,) = json.loads(run(app, "queues", "list", "--json").stdout)
    assert (shown["queue"], shown["waiting"], shown["listeners"]) == ("celery", 1, [])


def test_queues_are_paused_and_resumed(app: Flask) -> None:
    done = run(app, "queues", "pause", "slow", "--by", "alice")
    assert (done.exit_code, done.stdout) == (0, "slow\tpaused\n")
    assert "Is that its name?" in done.stderr, "nobody listens, and nothing waits"
    assert run(app, "queues", "pause", "slow").stdout == "slow\tis paused already\n"
    *_, paused = run(app, "queues", "list").stdout.strip().split("\t")
    assert paused.endswith("ago by alice")
    (shown,) = json.loads(run(app, "queues", "list", "--json").stdout)
    assert shown["paused_by"] == "alice" and shown["paused_at"]
    assert run(app, "queues", "resume", "slow").stdout == "slow\tresumed\n"
    assert run(app, "queues", "resume", "slow").stdout == "slow\tis not paused\n"
    done = run(app, "queues", "pause", "two\nlines")
    assert done.exit_code == 1 and "printable" in done.stderr and "Traceback" not in done.output


def test_workers_are_listed(app: Flask) -> None:
    assert run(app, "workers", "list").stdout == ""
    assert json.loads(run(app, "workers", "list", "--json").stdout) == []
