"""What workers did is in the charts soon after, counted by their own maintenance."""

import time
from datetime import datetime, timedelta
from pathlib import Path

import psutil

from task_app.jobs import figures
from task_app.jobs.figures import Kind, Series
from task_app.jobs.runtime import utcnow

from .stack import Stack, running, until
from .test_workers import worker_named

#: A span of ten seconds has to be over, rollers spread over a second, and this machine may be busy.
SOON = 20.0


def series(stack: Stack, kind: Kind, name: str, since: datetime) -> Series:
    with stack.app.app_context():
        return figures.series(kind, name, start=since, end=utcnow() + timedelta(minutes=1))


def test_jobs_that_ended_are_in_the_charts_soon(pair: Stack) -> None:
    since = utcnow()
    done = [pair.task("add").delay(n, n) for n in range(5)]
    failed = pair.task("probe.fail").delay()
    waits = pair.task("add").apply_async((1, 1), queue="nobody-listens")
    assert pair.until_ended(failed.id).state == "FAILURE"
    assert {pair.until_ended(result.id).state for result in done} == {"SUCCESS"}
    ended_at = time.monotonic()

    def counted() -> bool:
        total = series(pair, Kind.QUEUE, pair.queue, since).total
        return (total.succeeded, total.failed) == (5, 1)

    until(counted, "the jobs to be counted", patience=SOON)
    assert time.monotonic() - ended_at < SOON
    of_add = series(pair, Kind.TASK, "add", since).total
    assert of_add.succeeded == 5 and of_add.run is not None and of_add.wait is not None
    assert 0 < of_add.run.p50 <= of_add.run.p99 < 60

    def seen() -> bool:
        return bool(series(pair, Kind.QUEUE, "nobody-listens", since).total.depth)

    until(seen, "the waiting job to be seen", patience=SOON)
    pair.celery.control.revoke(waits.id)
    roller = worker_named(pair, "w1").services["roller"]
    assert roller["total"] > 0 and "error" not in roller


def test_several_workers_count_every_job_once(tmp_path: Path) -> None:
    with running(tmp_path, "postgresql", "redis") as stack:
        since = utcnow()
        for name in ("w1", "w2", "w3"):
            stack.start_worker(name=name)
        ids = []
        enough = time.monotonic() + 12  # longer than a span
        while time.monotonic() < enough:
            ids.append(stack.task("add").delay(1, 1).id)
            stack.until_ended(ids[-1])
        until(lambda: series(stack, Kind.ALL, "", since).total.jobs == len(ids), "all jobs to be counted", SOON)


def test_a_worker_says_how_much_memory_it_takes(embedded_stack: Stack) -> None:
    process = embedded_stack.start_worker(concurrency=2)
    until(lambda: worker_named(embedded_stack, "w1").memory, "a heartbeat that tells of memory")
    told = worker_named(embedded_stack, "w1").memory
    head = psutil.Process(process.pid)
    family = [head, *head.children(recursive=True)]
    assert told is not None
    # More than the process alone; less than all, which would count what they share again and again.
    assert head.memory_full_info().uss < told < sum(member.memory_info().rss for member in family)
