"""One attempt runs at a time; duplicates are dropped and counted, late writes refused and counted."""

import json
import signal
from pathlib import Path

import pytest
from kombu import Connection

from task_app.jobs import publishing, service
from task_app.jobs.states import WaitReason

from .stack import EACH_PAIR, EACH_SERVER_PAIR, Stack, running, until
from .test_recovery import depth


@EACH_PAIR
def test_duplicates_are_dropped_and_counted(tmp_path: Path, database: str, broker: str) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, database, broker) as stack:
        results = [stack.task("probe.ledger").delay(str(ledger), str(n)) for n in range(20)]
        with stack.app.app_context():
            for result in results:
                publishing.publish_by_id(result.id)
        stack.start_worker()
        for result in results:
            stack.until_ended(result.id)
        until(lambda: stack.dropped() >= 20 and stack.dropped(), "20 dropped messages")
        assert sorted(ledger.read_text().split(), key=int) == [str(n) for n in range(20)]


@EACH_SERVER_PAIR
def test_a_worker_that_slept_past_its_lease_writes_nothing(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker) as stack:
        sleeper = stack.start_worker(concurrency=1)
        result = stack.task("probe.sleep").delay(2)  # reports nothing: its outcome is the first it hears of it
        stack.until_state(result.id, "STARTED")
        stack.freeze(sleeper)
        stack.start_worker(name="w2", concurrency=1)
        job = stack.until_ended(result.id)
        assert (job.attempt, [entry["state"] for entry in job.history]) == (2, ["LOST", "SUCCESS"])
        stack.thaw(sleeper)
        # It goes on with its abandoned attempt, is refused, says so, and takes new work.
        until(lambda: refused(stack) > 0, "a refused write")
        assert "that attempt is over" in stack.output()
        assert stack.job(result.id) == job
        assert {stack.until_ended(stack.task("add").delay(n, n).id).state for n in range(6)} == {"SUCCESS"}


@pytest.mark.parametrize(("reason", "outcome"), [("", "SUCCESS"), ("too late", "FAILURE")])
def test_a_late_outcome_leaves_the_next_attempt_and_its_chain_alone(tmp_path: Path, reason: str, outcome: str) -> None:
    told = tmp_path / "told"
    soon = {"FLASK_WORKER_TIMEOUT": "3", "FLASK_HEARTBEAT_INTERVAL": "0.25"}
    with running(tmp_path, "postgresql", "redis", **soon) as stack:
        sleeper = stack.start_worker(concurrency=1)
        last = (stack.task("probe.until_told").s(str(told)) | stack.task("add").s(10)).delay()
        first = last.parent
        stack.until_state(first.id, "STARTED")
        stack.freeze(sleeper)
        stack.start_worker(name="w2", concurrency=1)
        until(lambda: stack.is_running(first.id, attempt=2), "attempt 2")
        (tmp_path / "new").write_text(reason)
        (tmp_path / "new").rename(f"{told}-1")
        stack.thaw(sleeper)
        # Attempt 1 comes to its end now, while attempt 2 still runs: the state alone would let its outcome in.
        until(lambda: refused(stack) or stack.job(first.id).finished_at, "attempt 1 to write its outcome")
        assert (refused(stack), stack.is_running(first.id, attempt=2)) == (1, True)
        assert f"refused {outcome} for job {first.id}: that attempt is over" in stack.output()
        # When its worker holds it no more, attempt 1 has done all it would.
        until(lambda: not [one for one in stack.workers() if one.pid == sleeper.pid and one.running], "its end")
        assert (stack.job(last.id).state, stack.job(last.id).blocked_by) == ("PENDING", WaitReason.CHAIN)
        Path(f"{told}-2").touch()
        job = stack.until_ended(first.id)
        assert (job.state, job.attempt, job.result) == ("SUCCESS", 2, 2)
        assert [entry["state"] for entry in job.history] == ["LOST", "SUCCESS"] and refused(stack) == 1
        assert stack.until_ended(last.id).result == 12


def test_a_message_for_an_old_attempt_is_stale(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, "postgresql", "redis") as stack:
        result = stack.task("probe.ledger").delay(str(ledger), "ran")
        with stack.app.app_context():
            service.cancel(result.id)
            service.retry(result.id)  # attempt 2; the message of attempt 1 is still in the queue
        stack.start_worker()
        stack.until_ended(result.id)
        until(lambda: stack.dropped() == 1, "the stale message")
        assert ledger.read_text() == "ran\n"


@pytest.mark.parametrize("signals", [(signal.SIGKILL,), (signal.SIGKILL, signal.SIGKILL)])
def test_a_restarted_worker_is_somebody_else(tmp_path: Path, signals: tuple[signal.Signals, ...]) -> None:
    with running(tmp_path, "postgresql", "redis") as stack:
        result = stack.task("probe.steps").delay(40, 0.05)
        for life, _ in enumerate(signals, 1):
            worker = stack.start_worker(name="same", concurrency=1)
            until(lambda life=life: stack.is_running(result.id, attempt=life), f"attempt {life}")  # type: ignore[misc]
            stack.kill(worker)
        stack.start_worker(name="same", concurrency=1)
        job = stack.until_ended(result.id)
        assert (job.state, job.attempt) == ("SUCCESS", len(signals) + 1)
        lives = stack.workers()
        assert len({life.id for life in lives}) == len(signals) + 1 and len({life.name for life in lives}) == 1


@EACH_PAIR
def test_messages_that_nobody_understands_end_their_job_or_are_counted(
    tmp_path: Path, database: str, broker: str
) -> None:
    with running(tmp_path, database, broker) as stack:
        stack.task("add").delay(1, 1)  # the embedded broker starts with the first submit
        jobs = {what: stack.task("add").apply_async((1, 1), countdown=3600).id for what in ("body", "type", "shape")}
        with Connection(
            stack.celery.conf.broker_url, transport_options=stack.celery.conf.broker_transport_options
        ) as c:
            producer = c.Producer(serializer="json")

            def send(body: object, **more: object) -> None:
                producer.publish(body, routing_key=stack.queue, declare=[stack.celery.amqp.queues[stack.queue]], **more)

            headers = {"task": "add", "lang": "py", "job_attempt": 1}
            send(
                b"{no json",
                content_type="application/json",
                content_encoding="utf-8",
                headers=headers | {"id": jobs["body"]},
            )
            send(
                b"\x80\x04.",
                content_type="application/x-python-serialize",
                content_encoding="binary",
                headers=headers | {"id": jobs["type"]},
            )
            send({"args": 1}, headers=headers | {"id": jobs["shape"]})
            send({"hello": "world"})
            send(
                b"\x00\x01",
                content_type="application/data",
                content_encoding="binary",
                headers={"task": "add", "id": "nobody"},
            )
            send(json.dumps([1]), headers={"task": 7, "id": "nobody"})
        unknown = stack.celery.send_task("no.such.task")
        worker = stack.start_worker()
        for what, job_id in jobs.items():
            job = stack.until_ended(job_id)
            assert job.state == "FAILURE" and job.error is not None and job.error["message"], what
        assert stack.until_ended(unknown.id).state == "FAILURE"
        assert stack.until_ended(stack.task("add").delay(1, 1).id).state == "SUCCESS"
        assert worker.poll() is None and sum(life.junk for life in stack.workers()) >= 5
        until(lambda: depth(stack) == 0, "an empty queue: nothing is delivered again and again")


def refused(stack: Stack) -> int:
    """Count the writes that were refused because their attempt is over."""
    return sum(worker.refused for worker in stack.workers())
