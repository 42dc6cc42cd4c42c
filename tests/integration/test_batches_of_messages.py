"""A batch of messages is sent as a whole or counts as not sent at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import upgrade

from task_app import create_app
from task_app.jobs import publishing, service
from task_app.jobs.runtime import runtime
from task_app.jobs.states import WaitReason
from task_app.jobs.submission import Submission

from ..acceptance.stack import until
from ..chaos.servers import Broker, server
from ..conftest import dispose, settings_for


@pytest.fixture
def redis() -> Iterator[Broker]:
    with server("redis") as broker:
        assert isinstance(broker, Broker)
        yield broker


@pytest.fixture
def service_on(redis: Broker, tmp_path: Path) -> Iterator[Flask]:
    app = create_app(settings_for(tmp_path, CELERY_BROKER_URL=redis.url))
    with app.app_context():
        upgrade()
        yield app
    dispose(app)


def submit(number: int) -> list[str]:
    return service.submit_many([Submission(task="add", args="[1,2]")] * number)


def test_what_a_broker_took_down_with_it_keeps_its_turn(service_on: Flask, redis: Broker) -> None:
    publisher = runtime().publisher
    assert publisher is not None
    submit(5)
    assert publishing.dispatch(200) == 5
    assert publisher.depth("celery") == 5
    redis.kill()
    lost = submit(3)
    assert publishing.dispatch(200) == 0
    jobs = [service.get(job_id) for job_id in lost]
    assert all(job.waiting_for(job.created_at) == WaitReason.BROKER and job.published_at is None for job in jobs)
    assert publisher.is_doubtful()
    redis.start()
    until(lambda: publishing.dispatch(200) or all(service.get(job_id).published_at for job_id in lost), "the rest", 5)
    until(lambda: not publishing.dispatch(200) and all(service.get(job_id).published_at for job_id in lost), "all", 5)
