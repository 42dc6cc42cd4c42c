"""The bodies of the tasks, called as plain functions, and what the API will say of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from flask import Flask

from task_app.mirror import arguments
from task_app.tasks import add, block, long_task, process, sleep_task

PROMISED = {"add", "block", "process", "long_task", "sleep_task", "send_welcome_email", "send_email", "flaky"}
PROMISED |= {"crawl", "process_batch"}
PROMISED |= {"analyze_csv", "make_report", "nightly_report", "predict", "resize_image", "train_model"}


@pytest.fixture
def celery(app: Flask) -> Iterator[Celery]:
    app.config["CLASSIC_STEP_SECONDS"] = 0
    with app.app_context():
        yield app.extensions["celery"]


def test_the_promised_tasks_are_there_under_short_names(celery: Celery) -> None:
    assert {name for name in celery.tasks if not name.startswith("celery.")} >= PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_every_task_has_a_summary_and_described_arguments(celery: Celery, name: str) -> None:
    task = celery.tasks[name]
    summary = task.__doc__.splitlines()[0]
    assert summary.endswith(".")
    assert len(summary) < 80
    schema = arguments.json_schema_of(task)
    assert schema["type"] == "object"
    assert all({"type", "enum", "anyOf"} & described.keys() for described in schema["properties"].values())


def test_add_adds(celery: Celery) -> None:
    assert add(2, 3) == 5
    assert add(-2, 3, delay=0.001) == 1


def test_sleepers_return_what_the_tutorials_show(celery: Celery) -> None:
    assert block(0) is None
    assert sleep_task(0) == "Task completed"


def test_process_returns_its_total(celery: Celery) -> None:
    assert process(3, step_seconds=0) == {"current": 3, "total": 3}
    assert process(0) == {"current": 0, "total": 0}


def test_long_task_ends_as_the_tutorials_want(celery: Celery) -> None:
    assert long_task() == {"current": 100, "total": 100, "status": "Task completed!", "result": 42}


@pytest.mark.parametrize(
    ("name", "kwargs", "wrong"),
    [
        ("add", {"a": 1, "b": "2"}, "b"),
        ("add", {"a": 1, "b": 2, "delay": -1}, "delay"),
        ("add", {"a": 1, "b": 2, "delay": 3601}, "delay"),
        ("process", {"total": -1}, "total"),
        ("process", {"total": 100_001}, "total"),
        ("process", {"total": 1, "step_seconds": 61}, "step_seconds"),
        ("block", {"seconds": -0.1}, "seconds"),
        ("sleep_task", {"seconds": 3601}, "seconds"),
        ("flaky", {"failures": 11}, "failures"),
        ("send_welcome_email", {"user_id": "1"}, "user_id"),
        ("send_email", {"to": "nobody", "subject": "s", "body": "b"}, "to"),
        ("send_email", {"to": "jörg@example.com", "subject": "s", "body": "b"}, "to"),
        ("send_email", {"to": "a@example.com\nBcc: b@example.com", "subject": "s", "body": "b"}, "to"),
        ("send_email", {"to": "a@example.com", "subject": "s\r\nBcc: b@example.com", "body": "b"}, "subject"),
    ],
)
def test_impossible_arguments_are_refused(celery: Celery, name: str, kwargs: dict[str, Any], wrong: str) -> None:
    with pytest.raises(arguments.ArgumentErrors) as caught:
        arguments.bind(celery.tasks[name], [], kwargs)
    assert list(caught.value.errors) == [wrong]
