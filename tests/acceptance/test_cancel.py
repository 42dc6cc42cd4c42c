"""A cancel is a fact in the table: with no worker, after a restart, against a race, for a whole family."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from celery import chain, chord

from task_app.errors import IllegalMove
from task_app.jobs import service

from .stack import PAIRS, Stack, running, until


@pytest.fixture(scope="module", params=PAIRS, ids=["+".join(pair) for pair in PAIRS])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose worker each test starts, or not, by `worker_of`."""
    with running(tmp_path_factory.mktemp("cancel"), *request.param) as stack:
        stack.start_worker(concurrency=2)
        yield stack


def cancel(stack: Stack, job_id: str) -> str:
    """Cancel and return the state of the answer."""
    with stack.app.app_context():
        return service.cancel(job_id).state


def test_a_waiting_job_is_cancelled_with_no_worker_online(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, "postgresql", "redis") as stack:
        ledger_task = stack.task("probe.ledger")
        published = ledger_task.delay(str(ledger), "published")
        later = ledger_task.apply_async((str(ledger), "later"), countdown=0.5)
        by_result = ledger_task.delay(str(ledger), "revoked")
        assert cancel(stack, published.id) == cancel(stack, later.id) == "REVOKED"
        by_result.revoke()
        worker = stack.start_worker()
        stack.until_ended(stack.task("add").apply_async((1, 1), countdown=1).id)
        stack.stop(worker)
        stack.start_worker(name="w2")
        stack.until_ended(stack.task("add").delay(1, 1).id)
        assert not ledger.exists()
        assert {stack.job(result.id).state for result in (published, later, by_result)} == {"REVOKED"}


def test_a_retrying_job_is_cancelled(stack: Stack) -> None:
    result = stack.task("probe.retry_twice").delay(countdown=60)
    stack.until_state(result.id, "RETRY")
    assert cancel(stack, result.id) == "REVOKED"


def test_a_revoked_job_can_be_started_again_on_the_same_worker(stack: Stack) -> None:
    result = stack.task("add").apply_async((1, 2), countdown=60)
    result.revoke()
    assert stack.job(result.id).state == "REVOKED"
    with stack.app.app_context():
        service.retry(result.id)
    assert stack.until_ended(result.id).result == 3


def test_a_running_job_is_asked_first(stack: Stack) -> None:
    # Long before the grace of a second is over, and with no signal: the task itself raises.
    result = stack.task("probe.obedient").delay(30)
    stack.until_state(result.id, "STARTED")
    assert cancel(stack, result.id) == "STARTED"
    job = stack.until_ended(result.id)
    assert job.state == "REVOKED"
    assert job.cancel_requested_at is not None and job.finished_at is not None
    assert (job.finished_at - job.cancel_requested_at).total_seconds() < 0.9


def test_a_running_job_is_terminated_and_its_neighbour_is_not(stack: Stack) -> None:
    neighbour = stack.task("probe.steps").delay(60, 0.05)
    victim = stack.task("probe.sleep").delay(30)
    stack.until_state(neighbour.id, "PROGRESS")
    stack.until_state(victim.id, "STARTED")
    cancel(stack, victim.id)
    assert stack.until_ended(victim.id).state == "REVOKED"
    job = stack.until_ended(neighbour.id)
    assert (job.state, job.attempt) == ("SUCCESS", 1)


def test_a_task_that_ignores_the_signal_is_killed(stack: Stack, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    result = stack.task("probe.deaf").delay(60, str(note))
    pid = int(until(lambda: note.exists() and note.read_text(), "the task to say where it runs") or 0)
    cancel(stack, result.id)
    assert stack.until_ended(result.id, patience=20).state == "REVOKED"
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_long_chain_is_cancelled_in_one_go(stack: Stack) -> None:
    echo = stack.task("probe.echo")
    last = chain(echo.si(0).set(countdown=60), *(echo.si(n) for n in range(150)))()
    first = last
    while first.parent is not None:
        first = first.parent
    cancel(stack, first.id)
    assert stack.job(last.id).state == "REVOKED"


def test_revoke_leaves_a_running_job_alone_unless_told_to_terminate(stack: Stack) -> None:
    result = stack.task("probe.steps").delay(20, 0.05)
    stack.until_state(result.id, "PROGRESS")
    result.revoke()
    assert stack.until_ended(result.id).state == "SUCCESS"
    result = stack.task("probe.sleep").delay(30)
    stack.until_state(result.id, "STARTED")
    result.revoke(terminate=True)
    assert stack.until_ended(result.id).state == "REVOKED"


def test_a_race_with_success_has_one_end_and_the_answer_tells_it(stack: Stack) -> None:
    for _ in range(30):
        result = stack.task("add").delay(1, 1)
        answers: list[str] = []

        def ask(job_id: str = result.id, answers: list[str] = answers) -> None:
            try:
                answers.append(cancel(stack, job_id))
            except IllegalMove:
                answers.append("ended before")

        thread = threading.Thread(target=ask)
        thread.start()
        job = stack.until_ended(result.id)
        thread.join()
        ended = {"REVOKED": {"REVOKED"}, "SUCCESS": {"SUCCESS"}, "ended before": {"SUCCESS"}}
        expected = ended | {"STARTED": {"SUCCESS", "REVOKED"}}
        assert job.state in expected[answers[0]]


def test_a_cancelled_parent_takes_along_what_nobody_has_started(stack: Stack) -> None:
    result = stack.task("probe.family").delay(60, 30)
    stack.until_state(result.id, "STARTED")
    until(lambda: stack.counts().get("PENDING", 0) >= 5, "the family")
    cancel(stack, result.id)
    assert stack.until_ended(result.id).state == "REVOKED"
    assert stack.counts().get("PENDING", 0) == 0


def test_later_steps_and_bodies_are_there_from_the_start_and_can_be_cancelled(stack: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    echo, ledger_task, total = stack.task("probe.echo"), stack.task("probe.ledger"), stack.task("probe.total")
    last = chain(echo.si(1).set(countdown=0.5), ledger_task.si(str(ledger), "2"), ledger_task.si(str(ledger), "3"))()
    job = stack.job(last.id)
    assert (job.state, job.waiting_for(job.created_at)) == ("PENDING", "an earlier step of its chain")
    assert cancel(stack, last.parent.id) == "REVOKED"  # the middle one, and with it the last
    assert stack.job(last.id).state == "REVOKED"
    stack.until_ended(last.parent.parent.id)

    body = chord([echo.si(n).set(countdown=30) for n in range(3)], total.s()).delay()
    job = stack.job(body.id)
    assert (job.state, job.waiting_for(job.created_at)) == ("PENDING", "the parts of its chord")
    assert cancel(stack, body.id) == "REVOKED"
    assert [stack.job(part.id).state for part in body.parent.results] == ["REVOKED"] * 3
    stack.until_ended(stack.task("add").delay(1, 1).id)
    assert not ledger.exists()
