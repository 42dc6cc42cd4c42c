"""What workers say of themselves, what is said of them, and how they stop."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_app.jobs import queries, service, transitions
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.states import State
from task_app.jobs.submission import Submission
from task_app.jobs.workers import WorkerView

from .stack import EACH_SERVER_PAIR, PATIENCE, ROOT, Stack, running, until


def worker_named(stack: Stack, name: str) -> WorkerView:
    return next(worker for worker in stack.workers() if worker.name.startswith(f"{name}-"))


def test_a_worker_says_what_it_is_and_what_it_does(embedded_stack: Stack) -> None:
    process = embedded_stack.start_worker(concurrency=2)
    result = embedded_stack.task("probe.sleep").delay(30)
    embedded_stack.until_state(result.id, "STARTED")
    until(lambda: worker_named(embedded_stack, "w1").running == [result.id], "a heartbeat that tells of the job")
    worker = worker_named(embedded_stack, "w1")
    assert (worker.pid, worker.pool, worker.concurrency, worker.state) == (process.pid, "prefork", 2, "alive")
    assert worker.queues == [embedded_stack.queue] and worker.version and worker.host
    assert worker.last_message_at is not None and worker.last_message_at >= worker.started_at
    assert {"dispatcher", "rescuer", "expirer", "joiner", "pruner", "canceller", "watchdog"} <= set(worker.services)


def test_each_state_of_a_worker_is_told(tmp_path: Path) -> None:
    with running(tmp_path, "postgresql", "redis", FLASK_DEAF_AFTER="60", FLASK_LOST_MESSAGE_AFTER="60") as stack:
        frozen, killed = stack.start_worker(name="frozen"), stack.start_worker(name="killed")
        wedged, stopped = stack.start_worker(name="wedged"), stack.start_worker(name="stopped")
        assert {worker.state for worker in stack.workers()} == {"alive"}
        stack.stop(stopped)
        stack.kill(killed)
        stack.freeze(frozen)
        until(lambda: worker_named(stack, "frozen").state == "unknown", "a silent worker to be doubted")
        until(lambda: worker_named(stack, "killed").state == "dead", "a silent worker to be given up")
        stack.kill(frozen)
        # Alive, with room, but it no longer listens to its queue.
        stack.celery.control.cancel_consumer(stack.queue, reply=True, timeout=5)
        stack.task("add").delay(1, 1)
        until(lambda: worker_named(stack, "wedged").state == "wedged", "a worker that takes nothing to be wedged")
        assert worker_named(stack, "stopped").state == "stopped" and wedged.poll() is None


def test_a_worker_whose_loop_stands_still_ends_and_another_runs_its_jobs(tmp_path: Path) -> None:
    told = tmp_path / "told"
    soon = {"FLASK_STUCK_AFTER": "4", "FLASK_WORKER_TIMEOUT": "3", "FLASK_HEARTBEAT_INTERVAL": "0.25"}
    with running(tmp_path, "postgresql", "redis", **soon) as stack:
        stuck = stack.start_worker(concurrency=1)
        runs = stack.task("probe.until_told").delay(str(told))
        stack.until_state(runs.id, "STARTED")
        waits = stack.task("add").delay(1, 1)
        until(lambda: worker_named(stack, "w1").prefetched == [waits.id], "a prefetched job")
        # It beats on, so that nobody but its own watchdog can tell.
        stack.celery.control.broadcast("stand_still", destination=[worker_named(stack, "w1").name])
        assert stuck.wait(PATIENCE) == 70
        assert "loop stands still" in stack.output() and "stand_still" in stack.output()  # it says where it stood
        Path(f"{told}-2").touch()
        stack.start_worker(name="w2")
        assert [stack.until_ended(job_id).result for job_id in (runs.id, waits.id)] == [2, 2]


@pytest.mark.parametrize(("database", "broker"), [("postgresql", "redis"), ("mariadb", "rabbitmq")])
def test_four_running_and_a_hundred_prefetched_survive_their_worker(tmp_path: Path, database: str, broker: str) -> None:
    ledger = tmp_path / "ledger"
    defaults = {"FLASK_WORKER_TIMEOUT": "30", "FLASK_HEARTBEAT_INTERVAL": "2", "FLASK_LOST_MESSAGE_AFTER": "10"}
    with running(tmp_path, database, broker, **defaults) as stack:
        # From Redis it takes more once half of its room is free.
        victim = stack.start_worker("--prefetch-multiplier", "52", concurrency=4)
        held = [stack.task("probe.steps").delay(600 if n < 4 else 1, 0.1 if n < 4 else 0) for n in range(4)]
        for result in held:
            stack.until_state(result.id, "PROGRESS")
        waiting = [stack.task("probe.ledger").delay(str(ledger), str(n)) for n in range(120)]
        until(lambda: len(worker_named(stack, "w1").prefetched) >= 100, "100 prefetched jobs")
        with stack.app.app_context(), runtime().engine.begin() as connection:
            for result in held:  # the second attempt need not take as long
                connection.exec_driver_sql(f"UPDATE job SET args = '[1, 0]' WHERE id = '{result.id}'")
        stack.start_worker(name="w2", concurrency=2)
        stack.kill(victim)
        killed_at = datetime.now(UTC)
        for result in held + waiting:
            assert stack.until_ended(result.id, patience=60).state == "SUCCESS"
        assert datetime.now(UTC) - killed_at < timedelta(seconds=60)
        assert sorted(ledger.read_text().split(), key=int) == [str(n) for n in range(120)]


@EACH_SERVER_PAIR
def test_a_stop_has_an_end_and_costs_no_attempt(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker, FLASK_STOP_GRACE="1.5") as stack:
        worker = stack.start_worker(concurrency=2)
        short, long = stack.task("probe.steps").delay(20, 0.05), stack.task("probe.sleep").delay(60)
        for result in (short, long):
            stack.until_state(result.id, "STARTED", "PROGRESS")
        prefetched = [stack.task("add").delay(n, n) for n in range(6)]
        assert stack.stop(worker) == 0
        assert stack.job(short.id).state == "SUCCESS"
        assert all(stack.job(result.id).started_at is None for result in prefetched)  # no claim after the signal
        job = stack.job(long.id)
        with stack.app.app_context(), runtime().engine.connect() as connection:
            counted = queries.row(connection, long.id, "rescues", "retries")
        assert counted is not None and dict(counted) == {"rescues": 0, "retries": 0}
        assert (job.state, job.worker) == ("RETRY", None)
        stack.start_worker(name="w2")
        assert [stack.until_ended(result.id).attempt for result in prefetched] == [1] * 6
        stack.until_state(long.id, "STARTED")


def test_a_worker_that_ends_in_order_says_goodbye(tmp_path: Path) -> None:
    with running(tmp_path, "sqlite", "embedded", FLASK_WORKER_TIMEOUT="600") as stack:
        assert stack.stop(stack.start_worker()) == 0
        gone = worker_named(stack, "w1")
        assert gone.stopped_at is not None and gone.state == "stopped"
        # What a pool process leaves behind that had just claimed a job when its worker ended.
        result = stack.task("add").delay(1, 1)
        with stack.app.app_context(), runtime().engine.connect() as connection:
            assert transitions.claim(connection, result.id, 1, worker=gone.name, worker_id=gone.id, now=utcnow())
        stack.start_worker(name="w2")
        job = stack.until_ended(result.id)  # its heartbeat is still fresh, and nobody waits for it to grow old
        assert (job.state, job.attempt) == ("SUCCESS", 2)


def test_a_rolling_restart_under_load_loses_and_fails_nothing(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, "postgresql", "rabbitmq") as stack:
        fleet = [stack.start_worker(name=f"old{n}") for n in range(2)]
        results = []
        for n, worker in enumerate(fleet):
            results += [stack.task("probe.ledger").delay(str(ledger), f"{n}-{m}") for m in range(150)]
            worker.send_signal(signal.SIGTERM)
            stack.start_worker(name=f"new{n}")
            results += [stack.task("probe.ledger").delay(str(ledger), f"{n}+{m}") for m in range(50)]
        jobs = [stack.until_ended(result.id) for result in results]
        assert {(job.state, job.attempt) for job in jobs} == {("SUCCESS", 1)}
        assert len(ledger.read_text().split()) == len(set(ledger.read_text().split())) == 400


@pytest.mark.parametrize("again", [False, True])
def test_a_soft_limit_lets_the_task_tidy_up(embedded_stack: Stack, tmp_path: Path, again: bool) -> None:
    embedded_stack.start_worker()
    note = tmp_path / "note"
    job = embedded_stack.until_ended(embedded_stack.task("probe.tidy").delay(str(note), again).id)
    assert note.read_text() == "tidied"
    if again:
        assert (job.state, job.attempt, job.result) == ("SUCCESS", 2, "second attempt")
    else:
        assert job.state == "FAILURE" and job.error is not None and "soft time limit" in job.error["message"]


def test_an_expired_job_is_revoked_with_and_without_a_worker_that_takes_it(embedded_stack: Stack) -> None:
    echo = embedded_stack.task("probe.echo")
    nobody_serves = echo.apply_async((1,), queue="nobody", expires=1)
    follower = (echo.si(1).set(queue="nobody", expires=1) | echo.si(2)).delay()
    late = echo.apply_async((1,), expires=0.5)
    until(lambda: utcnow() > embedded_stack.job(late.id).expires_at, "the expiry")  # type: ignore[operator]
    embedded_stack.start_worker()
    for result in (late, nobody_serves, follower.parent, follower):
        job = embedded_stack.until_ended(result.id)
        assert job.state == "REVOKED" and job.error is not None
    assert embedded_stack.job(late.id).error["message"] == "expired"  # type: ignore[index]
    assert embedded_stack.job(nobody_serves.id).error["message"] == "expired"  # type: ignore[index]


def test_maintenance_runs_alone_and_tells_what_it_did(embedded_stack: Stack) -> None:
    with embedded_stack.app.app_context():
        here = runtime()
        publisher, here.publisher = here.publisher, None  # the submitter dies between its commit and its message
        assert publisher is not None
        job_id = service.submit(publisher.route(Submission(task="add", args="[1,2]"))).id
        here.publisher = publisher
    assert _status(embedded_stack) == (3, [])
    alone = embedded_stack.start("flask", "--app", "make_celery:flask_app", "maintenance", "run")
    until(lambda: embedded_stack.job(job_id).published_at is not None, "the dispatcher")
    until(lambda: [w.services["dispatcher"]["total"] for w in embedded_stack.workers()] == [1], "the heartbeat to tell")
    code, (process,) = _status(embedded_stack)
    assert (code, process["pid"], process["state"], process["pool"]) == (0, alone.pid, "alive", "maintenance")
    assert embedded_stack.stop(alone) == 0
    assert _status(embedded_stack) == (3, [])


def test_old_jobs_are_pruned_as_configured(tmp_path: Path) -> None:
    keep = {"FLASK_KEEP_SUCCESS_DAYS": "10", "FLASK_KEEP_FAILURE_DAYS": "20", "FLASK_KEEP_NEWEST_FAILURES": "5"}
    with running(tmp_path, "postgresql", "redis", FLASK_KEEP_REVOKED_DAYS="0", **keep) as stack:
        for state, number in ((State.SUCCESS, 450), (State.FAILURE, 30), (State.REVOKED, 10)):
            _ended(stack, state, number, days_ago=30)
        recent = _ended(stack, State.SUCCESS, 5, days_ago=9)
        newest = _ended(stack, State.FAILURE, 5, days_ago=21)
        stack.start_worker()
        left = {"SUCCESS": 5, "FAILURE": 5, "REVOKED": 10}
        until(lambda: stack.counts() == left, f"{left} to be left")
        assert all(stack.job(job_id) for job_id in recent + newest)


def _status(stack: Stack) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-m", "flask", "--app", "make_celery:flask_app", "maintenance", "status", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=stack.environment, capture_output=True, text=True, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, found


def _ended(stack: Stack, state: State, number: int, days_ago: float) -> list[str]:
    """Make jobs that ended in this state, that long ago."""
    then = utcnow() - timedelta(days=days_ago)
    with stack.app.app_context():
        ids = service.submit_many([Submission(task="add", args="[1,1]", queue="nobody")] * number)
        with runtime().engine.connect() as connection:
            for job_id in ids:
                error = {"type": "E", "message": "e"}
                if state == State.SUCCESS:
                    transitions.claim(connection, job_id, 1, worker="w", worker_id=None, now=then)
                    transitions.succeed(connection, job_id, 1, result="1", children=None, now=then)
                else:
                    transitions.end_badly(connection, job_id, 1, state=state, error=error, now=then)
            for job_id in ids:
                connection.exec_driver_sql(f"UPDATE job SET created_at = '{then.isoformat()}' WHERE id = '{job_id}'")
    return ids
