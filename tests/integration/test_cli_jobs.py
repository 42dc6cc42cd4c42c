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


def test_a_job_is_submitted_for_later_once(app: Flask) -> None:
    job_id = "0193cdf0-0000-7000-8000-000000000001"
    options = f"--id {job_id} --eta 2035-01-31T12:00:00+01:00 --expires 2035-02-01T00:00:00Z"
    assert run(app, *f"jobs submit add a=1 b=2 {options}".split()).exit_code == 0
    again = run(app, *f"jobs submit add a=1 b=2 {options}".split())
    assert again.exit_code == 1 and job_id in again.stderr
    with app.app_context():
        job = service.get(job_id)
    assert job.due_at == datetime(2035, 1, 31, 11, tzinfo=UTC)
    assert job.expires_at == datetime(2035, 2, 1, tzinfo=UTC)


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
        ("jobs submit add a=1 b=2 --queue no/where", "queue: String does not match"),
        ("jobs submit add a=1 b=2 --id 5", "task_id: Not a valid UUID."),
        ("jobs submit add a=1 b=2 --eta tomorrow", "eta: Not an ISO 8601 time"),
        ("jobs submit add a=1 b=2 --expires -1", "expires: Must be greater than 0"),
        ("jobs submit add a=1 b=2 --countdown 60 --expires 30", "would expire before it may run"),
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


def test_queues_tell_what_waits_on_the_broker_or_for_it_and_that_nobody_listens(app: Flask) -> None:
    assert run(app, "queues", "list").stdout == ""
    first, _ = submitted(app), submitted(app)
    now = datetime.now(UTC)
    with app.app_context(), runtime().engine.connect() as connection:
        transitions.mark_published(connection, [(first, 1)], now)
    queue, waiting, oldest, listeners, paused = run(app, "queues", "list").stdout.strip().split("\t")
    assert (queue, waiting, listeners, paused) == ("celery", "2", "nobody", "-") and oldest.endswith("ago")
    (shown,) = json.loads(run(app, "queues", "list", "--json").stdout)
    assert (shown["queue"], shown["waiting"], shown["listeners"]) == ("celery", 2, [])


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


# -- many jobs ---------------------------------------------------------------------------------------------------


def states(app: Flask, job_ids: list[str]) -> list[str]:
    with app.app_context():
        return [service.get(job_id).state for job_id in job_ids]


def failed(app: Flask) -> str:
    job_id = submitted(app)
    end(app, job_id, State.FAILURE)
    return job_id


def test_all_that_match_are_cancelled_after_asking(app: Flask) -> None:
    jobs = [submitted(app) for _ in range(3)]
    ended = failed(app)
    done = app.test_cli_runner().invoke(args=["jobs", "cancel", "--status", "waiting"], input="n\n")
    assert done.exit_code == 1 and "Cancel 3 jobs?" in done.stderr
    assert run(app, "jobs", "cancel", "--status", "waiting").exit_code == 1, "nobody there to answer"
    assert states(app, jobs) == ["PENDING"] * 3
    done = run(app, "jobs", "cancel", "--status", "waiting", "--task", "add", "--yes")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [f"{job_id}\trevoked" for job_id in reversed(jobs)]
    assert "3 changed" in done.stderr
    assert states(app, [*jobs, ended]) == ["REVOKED"] * 3 + ["FAILURE"]
    none = run(app, "jobs", "cancel", "--status", "waiting", "--yes")
    assert (none.exit_code, none.stdout) == (0, "") and "No job matches" in none.stderr


def test_failures_are_retried_and_resolved_by_filter(app: Flask) -> None:
    first, second = failed(app), failed(app)
    other = submitted(app)
    assert run(app, "jobs", "resolve", first).stdout == f"{first}\tresolved\n"
    assert "resolved already" in run(app, "jobs", "resolve", first).stdout
    again = run(app, "jobs", "retry", "--error", "ValueError", "--unresolved", "--yes")
    assert again.stdout == f"{second}\tattempt 2 waits\n"
    assert run(app, "jobs", "resolve", "--undo", "--error", "ValueError", "--yes").stdout == f"{first}\topen again\n"
    done = run(app, "jobs", "resolve", "--task", "add", "--yes")
    assert (done.exit_code, done.stdout) == (0, f"{first}\tresolved\n"), "failures alone"
    refused = run(app, "jobs", "resolve", other)
    assert refused.exit_code == 1 and "can't resolve" in refused.stderr


@pytest.mark.parametrize(
    "command",
    [
        "jobs cancel",
        "jobs retry --yes",
        "jobs cancel some-id --task add",
        "jobs retry --task add --kwargs {}",
        "jobs resolve",
        "jobs prune",
        "jobs prune --older-than soon",
        "jobs prune --older-than 1d --status PENDING",
        "jobs list --argument user_id",
        "jobs list --created-after yesterday",
        "jobs list --id ü",
        "jobs watch some-id --task add",
    ],
)
def test_what_names_no_jobs_or_too_many_is_wrong_usage(app: Flask, command: str) -> None:
    waits = submitted(app)
    done = run(app, *command.split())
    assert done.exit_code == 2, done.output
    assert states(app, [waits]) == ["PENDING"]


def test_old_jobs_are_pruned_when_asked_for(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_app.cli.many.BATCH", 2)
    old = [failed(app) for _ in range(5)]
    kept = submitted(app)
    end(app, kept, State.SUCCESS)
    prune = ["jobs", "prune", "--status", "FAILURE"]
    assert run(app, *prune, "--older-than", "1h", "--yes").stdout == "No job is that old.\n"
    assert run(app, *prune, "--older-than", "0s", "--dry-run").stdout == "5 jobs would be deleted\n"
    assert run(app, *prune, "--older-than", "0s").exit_code == 1, "nobody there to answer"
    assert len(run(app, "jobs", "list").stdout.splitlines()) == 6
    done = run(app, *prune, "--older-than", "0s", "--yes")
    assert (done.exit_code, done.stdout) == (0, "deleted 5 jobs\n")
    assert [line.split("\t")[0] for line in run(app, "jobs", "list").stdout.splitlines()] == [kept]
    assert old


def test_lists_take_the_filters_of_the_api(app: Flask) -> None:
    first, second = submitted(app), failed(app)
    for options, found in (
        ("--status waiting", [first]),
        ("--error ValueError --unresolved", [second]),
        (f"--id {first[:-1]}", [first]),
        ("--argument a=1 --status finished", [second]),
        ("--argument a=2", []),
        ("--created-after 1h", [second, first]),
        ("--created-before 1h", []),
        ("--created-before 2100-01-01", [second, first]),
    ):
        listed = run(app, "jobs", "list", *options.split()).stdout.splitlines()
        assert [line.split("\t")[0] for line in listed] == found, options


# -- watching and showing ----------------------------------------------------------------------------------------


def test_a_watched_list_says_each_change_once_into_a_pipe(app: Flask) -> None:
    first = submitted(app)
    timer = threading.Timer(0.5, end, (app, first, State.SUCCESS))
    timer.start()
    done = run(app, "jobs", "watch", "--task", "add", "--timeout", "2.2")
    timer.join()
    assert done.exit_code == 0, done.output
    lines = [line.split("\t")[:3] for line in done.stdout.splitlines()]
    assert lines == [[first, "add", "PENDING"], [first, "add", "SUCCESS"]]
    shown = run(app, "jobs", "watch", "--json", "--timeout", "0")
    assert [json.loads(line)["task_status"] for line in shown.stdout.splitlines()] == ["SUCCESS"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rich believe that somebody is looking."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.usefixtures("terminal")
def test_people_are_shown_what_they_want_to_know(app: Flask) -> None:
    waits, ended = submitted(app), failed(app)
    shown = run(app, "jobs", "show", waits).stdout
    assert "Why it is not running" in shown and "kept safe in the table" in shown and '{"a": 1, "b": 2}' in shown
    shown = run(app, "jobs", "show", ended).stdout
    assert "ValueError: no such thing" in shown and "Why" not in shown
    assert json.loads(run(app, "jobs", "show", ended, "--json").stdout)["task_status"] == "FAILURE"


@pytest.mark.usefixtures("terminal")
def test_a_watched_list_is_a_table_for_people(app: Flask) -> None:
    first = submitted(app)
    done = run(app, "jobs", "watch", "--timeout", "0")
    assert done.exit_code == 0, done.output
    assert "waits for" in done.stdout and first in done.stdout and "\t" not in done.stdout
