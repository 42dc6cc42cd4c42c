"""Pausing a queue is a fact in the table, and what is said of queues joins it with what waits and who listens."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import Engine, update

from task_app.jobs import queue_control, queues, service, transitions, workers
from task_app.jobs.models import Worker
from task_app.jobs.workers import Beat, WorkerCard, WorkerState
from task_app.maintenance.rescuer import Rescuer

from ..factories import insert_job

SECOND = timedelta(seconds=1)


def card(worker_id: str, name: str, *listens_to: str) -> WorkerCard:
    return WorkerCard(
        id=worker_id, name=name, host="h", pid=1, version="1", pool="prefork", concurrency=2, queues=listens_to
    )


def test_who_pauses_first_stays_on_record(engine: Engine) -> None:
    with engine.connect() as connection:
        before = datetime.now(UTC) - 2 * SECOND
        assert queue_control.pause(connection, "slow", "alice")
        assert not queue_control.pause(connection, "slow", "bob")
        (name, pause) = queue_control.paused(connection).popitem()
        assert (name, pause.by) == ("slow", "alice") and pause.at > before


def test_resuming_and_pausing_again_is_recorded_anew(engine: Engine) -> None:
    with engine.connect() as connection:
        assert not queue_control.resume(connection, "slow"), "it was never paused"
        queue_control.pause(connection, "slow", "alice")
        assert queue_control.resume(connection, "slow")
        assert not queue_control.resume(connection, "slow")
        assert queue_control.paused(connection) == {}
        assert queue_control.pause(connection, "slow", None)
        assert queue_control.paused(connection)["slow"].by is None


def test_names_are_compared_exactly(engine: Engine) -> None:
    with engine.connect() as connection:
        queue_control.pause(connection, "Slow", None)
        assert not queue_control.resume(connection, "slow")
        assert queue_control.pause(connection, "slow", None)


def test_a_queue_is_known_by_its_jobs_its_listeners_or_its_pause(every_database: Flask, engine: Engine) -> None:
    published_at = datetime.now(UTC) - timedelta(minutes=5)
    with engine.connect() as connection:
        job_id = insert_job(connection, queue="busy")
        transitions.mark_published(connection, [(job_id, 1)], published_at)
        insert_job(connection, queue="busy")  # the broker could not be given it
        insert_job(connection, queue="later", due_at=published_at + timedelta(hours=1))
        for worker_id, name in (("life-1", "w1"), ("life-2", "w2"), ("life-3", "gone"), ("life-4", "silent")):
            workers.register(connection, card(worker_id, name, "busy", "idle"))
        workers.say_goodbye(connection, "life-3")
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        connection.execute(update(Worker).where(Worker.id == "life-4").values(heartbeat_at=long_ago))
        queue_control.pause(connection, "asleep", "alice")
    with every_database.app_context():
        asleep, busy, idle = service.queue_views()
    assert (asleep.name, asleep.listeners, asleep.waiting, asleep.oldest_at) == ("asleep", (), 0, None)
    assert asleep.paused_at is not None and asleep.paused_by == "alice"
    assert (busy.name, busy.listeners, busy.waiting, busy.paused_at) == ("busy", ("w1", "w2"), 2, None)
    assert busy.oldest_at == published_at
    assert (idle.name, idle.listeners, idle.waiting) == ("idle", ("w1", "w2"), 0)
    with every_database.app_context():
        assert service.queue_view("asleep") == asleep
        assert service.queue_view("nobody's") == queues.QueueView(name="nobody's")


@pytest.mark.parametrize("then", ["paused", "just resumed", "resumed long ago"])
def test_a_worker_that_obeys_a_pause_is_not_wedged(engine: Engine, then: str) -> None:
    """Its queue holds old messages and it takes none: without the pause that is what wedged workers do."""

    def state() -> WorkerState:
        with engine.connect() as connection:
            workers.beat(connection, "life-1", Beat())
            (worker,) = workers.overview(connection, interval=SECOND, timeout=9 * SECOND, patience=5 * SECOND)
            return worker.state

    with engine.connect() as connection:
        workers.register(connection, card("life-1", "w1", "busy"))
        job_id = insert_job(connection, queue="busy")
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        transitions.mark_published(connection, [(job_id, 1)], long_ago)
        connection.execute(update(Worker).values(started_at=long_ago))
        assert state() == WorkerState.WEDGED
        queue_control.pause(connection, "busy", None)
        if then == "just resumed":
            queue_control.resume(connection, "busy")
        if then == "resumed long ago":
            queue_control.resume(connection, "busy")
            connection.exec_driver_sql("UPDATE paused_queue SET resumed_at = '2020-01-01 00:00:00'")
    assert state() == (WorkerState.WEDGED if then == "resumed long ago" else WorkerState.ALIVE)


def test_nothing_is_passed_over_in_a_paused_queue(every_database: Flask, engine: Engine) -> None:
    """Somebody took a newer message, and gave it back or died: only after the pause that says something of this one."""
    now = datetime.now(UTC)
    with engine.connect() as connection:
        job_id = insert_job(connection, queue="busy")
        transitions.mark_published(connection, [(job_id, 1)], now - timedelta(hours=1))
        workers.register(connection, card("life-1", "w1", "busy"))
        workers.beat(connection, "life-1", Beat(newest={"busy": {"5": now.timestamp()}}))
        workers.say_goodbye(connection, "life-1")
    rescuer = Rescuer(every_database)  # the broker is away: nobody knows whether the queue is empty
    with every_database.app_context():
        service.pause_queue("busy")
        assert [rescuer.run() for _ in range(3)] == [0, 0, 0]
        service.resume_queue("busy")
        assert [rescuer.run() for _ in range(3)] == [0, 1, 0], "missed twice, then sent again"
