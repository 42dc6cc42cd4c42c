"""What configuration alone decides: result copies, routing, priorities, limits, the beat schedule."""

import json
from pathlib import Path

import pytest

from .. import services
from .stack import Stack, running, until

WAIT = 30


@pytest.mark.parametrize("kind", ["file", "redis", "db"])
def test_results_are_also_written_to_a_result_backend(tmp_path: Path, kind: str) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    if kind == "redis":
        services.need("redis")
    url = {
        "file": f"file://{copies}",
        "redis": services.URLS["redis"],
        "db": f"db+sqlite:///{tmp_path / 'copies.db'}",
    }[kind]
    with running(tmp_path, "sqlite", "embedded", CELERY_RESULT_BACKEND=url) as stack:
        stack.start_worker()
        good, bad = stack.task("add").delay(2, 3), stack.task("probe.fail").delay()
        assert good.get(timeout=WAIT) == 5
        stack.until_ended(bad.id)
        from celery import Celery

        reader = Celery(backend=url, set_as_current=False)
        try:
            assert until(lambda: reader.AsyncResult(good.id).state == "SUCCESS", "the copy")
            assert reader.AsyncResult(good.id).result == 5
            assert until(lambda: reader.AsyncResult(bad.id).state == "FAILURE", "the copy of the failure")
        finally:
            for result in (good, bad):
                reader.AsyncResult(result.id).forget()
            reader.close()


def test_routes_and_task_limits_come_from_configuration(tmp_path: Path) -> None:
    routes = {
        "probe.echo": {"queue": "special", "priority": 8},
    }
    settings = {
        "FLASK_CELERY__task_routes": json.dumps(routes),
        "FLASK_CELERY__task_annotations": json.dumps({"probe.sleep": {"time_limit": 1}}),
    }
    with running(tmp_path, "sqlite", "embedded", **settings) as stack:
        stack.celery.conf.task_routes = routes
        stack.start_worker("-Q", f"special,{stack.queue}")
        routed = stack.task("probe.echo").delay(1)
        assert routed.get(timeout=WAIT) == 1
        job = stack.job(routed.id)
        assert (job.queue, job.priority) == ("special", 8)
        limited = stack.until_ended(stack.task("probe.sleep").delay(30).id)
        assert limited.error is not None and "hard time limit of 1 s" in limited.error["message"]


@pytest.mark.parametrize("broker", services.BROKERS)
def test_the_more_urgent_job_runs_first(tmp_path: Path, broker: str) -> None:
    ledger = tmp_path / "ledger"
    with running(tmp_path, "sqlite", broker) as stack:
        task = stack.task("probe.ledger")
        order = [1, 9, 5, 0, 7]

        results = [task.apply_async((str(ledger), str(priority)), priority=priority) for priority in order]
        stack.start_worker("--prefetch-multiplier", "1", concurrency=1)
        for result in results:
            stack.until_ended(result.id)
    assert ledger.read_text().split() == ["9", "7", "5", "1", "0"]


def test_the_beat_schedule_makes_jobs(tmp_path: Path) -> None:
    schedule = {"tick": {"task": "add", "schedule": 0.5, "kwargs": {"a": 1, "b": 2}}}
    with running(tmp_path, "sqlite", "embedded", FLASK_CELERY__beat_schedule=json.dumps(schedule)) as stack:
        stack.start_worker()
        stack.start("celery", "-A", "make_celery", "beat", "-l", "INFO")
        until(lambda: stack.counts().get("SUCCESS", 0) >= 2, "two ticks")


def test_a_task_of_ones_own_that_overrides_before_start_is_claimed(embedded_stack: Stack) -> None:
    embedded_stack.start_worker()
    result = embedded_stack.task("probe.own_before_start").delay()
    job = embedded_stack.until_ended(result.id)
    assert (job.state, job.result) == ("SUCCESS", "ran")
    assert job.started_at is not None
