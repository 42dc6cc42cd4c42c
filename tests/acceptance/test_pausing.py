"""A paused queue: workers take nothing from it, wherever they are and however they start, and nothing is lost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from task_app.jobs import service, workers
from task_app.jobs.models import Job
from task_app.jobs.runtime import runtime
from task_app.jobs.workers import WorkerView

from .stack import EACH_PAIR, EACH_SERVER_PAIR, Stack, running, until
from .test_recovery import depth

#: Seconds in which a worker must have obeyed; the documentation promises two, on a machine that has time.
OBEYED_WITHIN = 5.0


def pause(stack: Stack, queue: str = "") -> None:
    with stack.app.app_context():
        service.pause_queue(queue or stack.queue, "a test")


def resume(stack: Stack, queue: str = "") -> None:
    with stack.app.app_context():
        service.resume_queue(queue or stack.queue)


def worker_of(stack: Stack) -> WorkerView:
    return next(worker for worker in stack.workers() if worker.state in ("alive", "wedged"))


def changes(stack: Stack) -> int:
    """Count how often the newest worker has left or joined a queue."""
    total: int = stack.workers()[0].services["pauser"]["total"]
    return total


def until_obeyed(stack: Stack, look: Any, what: str) -> float:
    """Wait until the worker has done what it was asked; return the seconds it took."""
    begin = time.monotonic()
    until(look, what)
    took = time.monotonic() - begin
    print(f"{what}: {took:.2f} s")  # noqa: T201 - a measurement; shown with -rP
    assert took < OBEYED_WITHIN
    return took


def started(stack: Stack) -> int:
    """Count the jobs that were ever started."""
    with stack.app.app_context(), runtime().engine.connect() as connection:
        return connection.execute(select(func.count()).where(Job.started_at.is_not(None))).scalar_one()


def newest(stack: Stack) -> Any:
    """Return what the workers say of the newest messages that they have taken."""
    with stack.app.app_context(), runtime().engine.connect() as connection:
        return workers.newest_taken(connection)


def listens(stack: Stack, queue: str = "") -> bool:
    """Ask the worker itself."""
    answers = stack.celery.control.inspect(timeout=2).active_queues() or {}
    return (queue or stack.queue) in {found["name"] for heard in answers.values() for found in heard}


def lines(ledger: Path) -> list[int]:
    return sorted(map(int, ledger.read_text().split())) if ledger.exists() else []


@EACH_PAIR
def test_what_runs_goes_on_and_what_was_only_taken_does_not_start(tmp_path: Path, database: str, broker: str) -> None:
    ledger, told = tmp_path / "ledger", tmp_path / "told"
    with running(tmp_path, database, broker) as stack:
        stack.start_worker(concurrency=1)
        runs = stack.task("probe.until_told").delay(str(told))
        stack.until_state(runs.id, "STARTED")
        waiting = [stack.task("probe.ledger").delay(str(ledger), str(n)) for n in range(20)]
        until(lambda: len(worker_of(stack).prefetched) >= 3, "prefetched jobs")
        pause(stack)
        until_obeyed(stack, lambda: depth(stack) == 20, "what was taken to be given back")
        until(lambda: worker_of(stack).prefetched == [] and newest(stack) == {}, "a heartbeat that tells of it")
        Path(f"{told}-1").touch()
        assert stack.until_ended(runs.id).result == 1
        # A process is free, the watchdog has looked several times and the rescuer too.
        time.sleep(4)
        assert started(stack) == 1 and lines(ledger) == [] and depth(stack) == 20
        worker = worker_of(stack)
        assert (worker.state, worker.services["watchdog"]["total"], worker.services["rescuer"]["total"]) == (
            "alive",
            0,
            0,
        )
        resume(stack)
        for result in waiting:
            assert stack.until_ended(result.id).state == "SUCCESS"
        assert lines(ledger) == list(range(20))
        assert {stack.job(result.id).attempt for result in waiting} == {1}
        assert stack.dropped() == 0 and " ignored" not in stack.output(), "what was given back stayed in line"


@EACH_SERVER_PAIR
def test_they_come_back_in_their_order(tmp_path: Path, database: str, broker: str) -> None:
    ledger, told = tmp_path / "ledger", tmp_path / "told"
    with running(tmp_path, database, broker) as stack:
        stack.start_worker(concurrency=1)
        runs = stack.task("probe.until_told").delay(str(told))
        stack.until_state(runs.id, "STARTED")
        for number in range(12):
            priority = 9 if number >= 6 else 2
            stack.task("probe.ledger").apply_async((str(ledger), str(number)), priority=priority)
        until(lambda: len(worker_of(stack).prefetched) >= 3, "prefetched jobs")
        pause(stack)
        until_obeyed(stack, lambda: depth(stack) == 12, "what was taken to be given back")
        Path(f"{told}-1").touch()
        stack.until_ended(runs.id)
        resume(stack)
        until(lambda: len(lines(ledger)) == 12, "all to run")
        assert [int(line) for line in ledger.read_text().split()] == [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]


@EACH_PAIR
def test_another_queue_of_the_same_worker_goes_on(tmp_path: Path, database: str, broker: str) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, database, broker) as stack, second_queue(stack) as other:
        stack.start_worker("-Q", f"{stack.queue},{other}", concurrency=2)
        busy = [stack.task("probe.until_told").delay(str(tmp_path / f"told-{n}")) for n in range(2)]
        for result in busy:
            stack.until_state(result.id, "STARTED")
        held = [stack.task("probe.ledger").delay(str(ledger), "0") for _ in range(20)]
        until(lambda: len(worker_of(stack).prefetched) >= 3, "prefetched jobs")
        pause(stack)
        until_obeyed(stack, lambda: depth(stack) == 20, "what was taken to be given back")
        for n in range(2):
            (tmp_path / f"told-{n}-1").touch()
        others = [stack.task("add").apply_async((n, n), queue=other) for n in range(40)]
        assert [stack.until_ended(result.id).result for result in others] == [2 * n for n in range(40)]
        assert lines(ledger) == []
        resume(stack)
        for result in held:
            assert stack.until_ended(result.id).state == "SUCCESS"
        assert lines(ledger) == [0] * 20


@EACH_PAIR
def test_a_pause_holds_over_the_end_of_every_worker_and_of_the_broker_s_memory(
    tmp_path: Path, database: str, broker: str
) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, database, broker) as stack:
        first = stack.start_worker(concurrency=1)
        runs = stack.task("probe.sleep").delay(600)
        stack.until_state(runs.id, "STARTED")
        waiting = [stack.task("probe.ledger").delay(str(ledger), str(n)) for n in range(8)]
        pause(stack)
        until_obeyed(stack, lambda: depth(stack) == 8, "what was taken to be given back")
        stack.kill(first)
        with stack.app.app_context(), runtime().engine.begin() as connection:
            connection.exec_driver_sql(f"UPDATE job SET args = '[0]' WHERE id = '{runs.id}'")
        # The one that starts finds it paused before it has heard anything; what the dead one ran is rescued, and waits.
        stack.start_worker(name="w2", concurrency=1)
        rescued = until(lambda: _waiting(stack, runs.id), "the lost attempt to be rescued")
        assert rescued.state == "RETRY"
        until(lambda: depth(stack) == 9, "it to be on the broker")
        empty(stack)
        until(lambda: depth(stack) > 0, "what the broker has forgotten to be sent again")
        time.sleep(3)
        sent = {job_id: stack.job(job_id).published_at for job_id in (result.id for result in waiting)}
        time.sleep(3)
        assert sent == {job_id: stack.job(job_id).published_at for job_id in sent}, "sent again and again"
        assert lines(ledger) == [] and not listens(stack)
        # One that was sent just before may be missed only once those behind it are taken.
        assert depth(stack) in (8, 9)
        resume(stack)
        for result in (*waiting, runs):
            assert stack.until_ended(result.id).state == "SUCCESS"
        assert lines(ledger) == list(range(8))


@EACH_PAIR
def test_a_pause_holds_over_a_lost_connection(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker) as stack:
        stack.start_worker()
        assert stack.until_ended(stack.task("add").delay(1, 1).id).result == 2
        pause(stack)
        until_obeyed(stack, lambda: changes(stack) > 0, "the worker to leave the queue")
        held = stack.task("add").delay(2, 2)
        stack.celery.control.broadcast("lose_connection")
        until(lambda: stack.output().count("the consumer is restarted") == 1, "the worker to connect anew")
        time.sleep(2)
        assert stack.job(held.id).state == "PENDING" and not listens(stack)
        resume(stack)
        until_obeyed(stack, lambda: stack.job(held.id).finished_at, "the first job after the pause")


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_other_pools_obey_too(tmp_path: Path, pool: str) -> None:
    ledger, told = tmp_path / "ledger", tmp_path / "told"
    with running(tmp_path, "postgresql", "redis" if pool == "solo" else "rabbitmq") as stack:
        stack.start_worker("--pool", pool, concurrency=1)
        runs = stack.task("probe.until_told").delay(str(told))
        stack.until_state(runs.id, "STARTED")
        waiting = [stack.task("probe.ledger").delay(str(ledger), str(n)) for n in range(8)]
        if pool == "threads":
            until(lambda: len(worker_of(stack).prefetched) >= 3, "prefetched jobs")
        pause(stack)
        if pool == "threads":
            until_obeyed(stack, lambda: depth(stack) == 8, "what was taken to be given back")
        else:
            time.sleep(1)  # its loop runs the job; it has been asked
        Path(f"{told}-1").touch()
        assert stack.until_ended(runs.id).result == 1
        time.sleep(3)
        assert lines(ledger) == [] and depth(stack) == 8
        resume(stack)
        for result in waiting:
            assert stack.until_ended(result.id).state == "SUCCESS"
        assert lines(ledger) == list(range(8)) and stack.dropped() == 0


def test_what_waits_for_its_rate_is_given_back_too(tmp_path: Path) -> None:
    with running(tmp_path, "postgresql", "redis") as stack:
        stack.start_worker(concurrency=1)
        waiting = [stack.task("probe.slow_rate").delay(n) for n in range(4)]
        stack.until_ended(waiting[0].id)
        pause(stack)
        until_obeyed(stack, lambda: depth(stack) == 3, "what was taken to be given back")
        time.sleep(2.5)  # the time of the next two
        assert started(stack) == 1
        resume(stack)
        assert [stack.until_ended(result.id).result for result in waiting] == [0, 1, 2, 3]
        assert stack.dropped() == 0


def test_cancel_and_expiry_go_on(embedded_stack: Stack) -> None:
    embedded_stack.start_worker()
    pause(embedded_stack)
    add = embedded_stack.task("add")
    cancelled, expires = add.delay(1, 1), add.apply_async((2, 2), expires=1)
    with embedded_stack.app.app_context():
        service.cancel(cancelled.id)
    assert embedded_stack.job(cancelled.id).state == "REVOKED"
    assert embedded_stack.until_ended(expires.id).state == "REVOKED"
    resume(embedded_stack)
    assert embedded_stack.until_ended(add.delay(3, 3).id).result == 6


def _waiting(stack: Stack, job_id: str) -> Any:
    job = stack.job(job_id)
    return job if job.state == "RETRY" and job.published_at else None


def empty(stack: Stack) -> None:
    """Let the broker forget all messages of the queue."""
    with stack.celery.connection_for_write() as connection:
        connection.default_channel.queue_purge(stack.queue)


@contextmanager
def second_queue(stack: Stack) -> Iterator[str]:
    """Yield the name of another queue, and delete it afterwards."""
    name = f"{stack.queue}-other"
    yield name
    with stack.celery.connection_for_write() as connection:
        connection.default_channel.queue_delete(name)
