"""Processes die; jobs don't."""

import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest
from celery import chord
from redis import Redis

from task_app import embedded
from task_app.jobs import groups, publishing, service, transitions
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.submission import Submission

from .stack import EACH_SERVER_PAIR, Stack, running, until


@EACH_SERVER_PAIR
def test_a_killed_worker_loses_nothing(tmp_path: Path, database: str, broker: str) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, database, broker) as stack:
        worker = stack.start_worker(concurrency=2)
        done = stack.task("add").delay(1, 2)
        before = stack.until_ended(done.id)
        held = [stack.task("probe.steps").delay(80, 0.05) for _ in range(2)]
        for result in held:
            stack.until_state(result.id, "PROGRESS")
        # Two run; some of these are prefetched, the rest wait in the broker.
        waiting = [stack.task("probe.ledger").delay(str(ledger), str(n)) for n in range(10)]
        stack.kill(worker)
        stack.start_worker(name="w2")
        assert [stack.until_ended(result.id).state for result in held + waiting] == ["SUCCESS"] * 12
        assert sorted(ledger.read_text().split(), key=int) == [str(n) for n in range(10)]
        for result in held:
            job = stack.job(result.id)
            assert (job.attempt, [entry["state"] for entry in job.history]) == (2, ["LOST", "SUCCESS"])
        assert stack.job(done.id) == before


@EACH_SERVER_PAIR
def test_many_jobs_over_http_end_right(tmp_path: Path, database: str, broker: str) -> None:
    number = 500 if database == "postgresql" else 50  # the chaos suite sends thousands on every pair
    with running(tmp_path, database, broker) as stack:
        stack.start_worker()
        address = stack.start_web()
        ids = [_post(f"{address}/tasks", {"task": "add", "args": [n, n]})["task_id"] for n in range(number)]
        until(lambda: stack.counts() == {"SUCCESS": number}, "as many successes", 120)
        assert [stack.job(job_id).result for job_id in ids] == [2 * n for n in range(number)]


def test_a_submitter_that_dies_before_publishing_loses_nothing(embedded_stack: Stack) -> None:
    with embedded_stack.app.app_context():
        here = runtime()
        publisher, here.publisher = here.publisher, None  # what a kill between commit and publish leaves behind
        assert publisher is not None
        job_id = service.submit(publisher.route(Submission(task="add", args="[1,2]"))).id
        here.publisher = publisher
    embedded_stack.start_worker()
    assert embedded_stack.until_ended(job_id).result == 3


def test_lost_messages_are_found_behind_a_queue_that_nobody_serves(embedded_stack: Stack) -> None:
    add = embedded_stack.task("add")
    with embedded_stack.app.app_context():
        routed = Submission(task="add", args="[1,1]", queue="nobody")
        service.submit_many([routed] * 600)
        while publishing.dispatch(200):
            pass
    results = [add.delay(n, n) for n in range(5)]
    broker = redis_of(embedded_stack)
    for key in broker.keys(f"{embedded_stack.queue}*"):  # what a broker that lost its memory would have forgotten
        broker.delete(key)
    embedded_stack.start_worker()
    assert [embedded_stack.until_ended(result.id).result for result in results] == [0, 2, 4, 6, 8]


def test_lost_messages_are_found_while_others_keep_coming(tmp_path: Path) -> None:
    with running(tmp_path, "sqlite", "embedded", FLASK_LOST_MESSAGE_AFTER="1") as stack:
        lost = [stack.task("add").delay(n, n) for n in range(5)]
        broker = redis_of(stack)
        for key in broker.keys(f"{stack.queue}*"):
            broker.delete(key)

        def ended_behind_others() -> bool:
            # What one process does in a second waits at all times: a queue that is seen empty would tell as well.
            while depth(stack) < 20:
                stack.task("probe.sleep").delay(0.05)
            return all(stack.job(result.id).finished_at for result in lost)

        ended_behind_others()
        stack.start_worker(concurrency=1)
        until(ended_behind_others, "the lost jobs to end")
        assert {stack.job(result.id).attempt for result in lost} == {1}


def test_a_chord_is_joined_even_if_its_last_part_could_not(embedded_stack: Stack) -> None:
    worker = embedded_stack.start_worker()
    add, total = embedded_stack.task("add"), embedded_stack.task("probe.total")
    body = chord([add.s(n, n) for n in range(3)], total.s()).delay()
    assert embedded_stack.until_ended(body.id).result == 6
    embedded_stack.kill(worker)
    # What a crash between the last part's outcome and the body leaves behind.
    with embedded_stack.app.app_context(), runtime().engine.connect() as connection:
        assert transitions.delete_ended(connection, body.id)
        groups.save(connection, body.parent.id, unjoined=True, now=utcnow())
        assert not transitions.delete_ended(connection, body.parent.results[0].id)
    embedded_stack.start_worker(name="w2")
    assert embedded_stack.until_ended(body.id).result == 6


def test_a_killed_embedded_broker_comes_back_with_the_next_submit(embedded_stack: Stack) -> None:
    embedded_stack.start_worker()
    instance = embedded_stack.app.instance_path
    found = embedded.status(instance)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    result = embedded_stack.task("add").delay(2, 2)
    assert embedded_stack.until_ended(result.id).result == 4


def test_a_worker_that_is_told_to_stop_finishes_and_frees(embedded_stack: Stack) -> None:
    worker = embedded_stack.start_worker(concurrency=1)
    running_job = embedded_stack.task("probe.steps").delay(20, 0.05)
    embedded_stack.until_state(running_job.id, "PROGRESS")
    waiting = [embedded_stack.task("add").delay(n, n) for n in range(6)]
    assert embedded_stack.stop(worker) == 0
    assert embedded_stack.job(running_job.id).state == "SUCCESS"
    embedded_stack.start_worker(name="w2")
    assert [embedded_stack.until_ended(result.id).attempt for result in waiting] == [1] * 6


def test_a_worker_that_must_stop_at_once_gives_back_what_it_runs(embedded_stack: Stack) -> None:
    worker = embedded_stack.start_worker(concurrency=1)
    result = embedded_stack.task("probe.steps").delay(100, 0.05)
    embedded_stack.until_state(result.id, "PROGRESS")
    embedded_stack.stop(worker, signal.SIGQUIT)
    job = embedded_stack.job(result.id)
    assert (job.state, job.attempt, job.worker) == ("RETRY", 2, None)
    embedded_stack.start_worker(name="w2")
    assert embedded_stack.until_ended(result.id).result == "done"


def test_pool_children_may_be_replaced_all_the_time(embedded_stack: Stack) -> None:
    embedded_stack.start_worker("--max-tasks-per-child", "2")
    results = [embedded_stack.task("add").delay(n, n) for n in range(20)]
    assert [embedded_stack.until_ended(result.id).result for result in results] == [2 * n for n in range(20)]


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_other_pools_work_too(embedded_stack: Stack, pool: str) -> None:
    embedded_stack.start_worker("--pool", pool)
    results = [embedded_stack.task("add").delay(n, n) for n in range(5)]
    assert [embedded_stack.until_ended(result.id).result for result in results] == [0, 2, 4, 6, 8]
    polite = embedded_stack.task("probe.steps").delay(600, 0.05)
    embedded_stack.until_state(polite.id, "PROGRESS")
    with embedded_stack.app.app_context():
        service.cancel(polite.id)
    assert embedded_stack.until_ended(polite.id).state == "REVOKED"


def depth(stack: Stack) -> int:
    """Return how many messages wait in the stack's queue."""
    with stack.app.app_context():
        publisher = runtime().publisher
        assert publisher is not None
        return publisher.depth(stack.queue)


def redis_of(stack: Stack) -> Redis:
    """Return a client of the embedded broker."""
    url = str(stack.app.config["CELERY_BROKER_URL"])
    return Redis(unix_socket_path=url.removeprefix("redis+socket://").partition("?")[0])


def _post(url: str, body: object) -> dict[str, str]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 202
        answered: dict[str, str] = json.load(answer)
        return answered
