"""What waits, waits in the table; what is due, starts."""

from datetime import timedelta
from pathlib import Path

import psutil

from task_app.jobs import queries, service
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.submission import Submission

from .stack import EACH_PAIR, EACH_SERVER_PAIR, running, until


@EACH_SERVER_PAIR
def test_ten_thousand_jobs_due_in_an_hour_cost_nobody_anything(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker) as stack:
        worker = stack.start_worker()
        stack.until_ended(stack.task("add").delay(1, 1).id)
        before = memory_of(worker.pid)
        later = utcnow() + timedelta(hours=1)
        with stack.app.app_context():
            service.submit_many([Submission(task="add", args="[1,1]", queue=stack.queue, due_at=later)] * 10_000)
        # The dispatcher has looked, and looked again, while these came and went.
        for _ in range(3):
            stack.until_ended(stack.task("add").apply_async((1, 1), countdown=0.5).id)
        with stack.app.app_context():
            publisher = runtime().publisher
            assert publisher is not None and publisher.depth(stack.queue) == 0
            with runtime().engine.connect() as connection:
                assert queries.queues_with_published(connection) == []
        assert memory_of(worker.pid) - before < 10_000_000


@EACH_PAIR
def test_a_due_job_starts_in_time(tmp_path: Path, database: str, broker: str) -> None:
    with running(tmp_path, database, broker, FLASK_DISPATCH_INTERVAL="0.5") as stack:
        stack.start_worker()
        results = [stack.task("add").apply_async((n, n), countdown=1 + 0.35 * n) for n in range(8)]
        for result in results:
            job = stack.until_ended(result.id)
            assert job.started_at is not None and job.due_at is not None
            assert timedelta(0) <= job.started_at - job.due_at < timedelta(seconds=1.5)


def test_many_dispatchers_share_the_work(tmp_path: Path) -> None:
    with running(tmp_path, "postgresql", "redis") as stack:
        stack.start("flask", "--app", "make_celery:flask_app", "maintenance", "run")
        stack.start_worker(name="w1")
        stack.start_worker(name="w2")
        soon = utcnow() + timedelta(seconds=1)
        with stack.app.app_context():
            ids = service.submit_many([Submission(task="add", args="[1,1]", queue=stack.queue, due_at=soon)] * 600)
        until(lambda: stack.counts() == {"SUCCESS": 600}, "600 successes")
        assert all(stack.job(job_id).attempt == 1 for job_id in ids)
        assert stack.dropped() == 0  # SKIP LOCKED: nobody sent what another was sending


def memory_of(pid: int) -> int:
    """Return the bytes that a worker and its children keep for themselves."""
    process = psutil.Process(pid)
    return sum(member.memory_full_info().uss for member in (process, *process.children(recursive=True)))
