"""Tasks run as a worker runs them: what they report, and how they are tried again."""

import random

from flask import Flask

from task_app.jobs import service
from task_app.jobs.runtime import utcnow
from task_app.jobs.view import JobView
from task_app.tasks import add, flaky, long_task, process
from task_app.testing.attempts import run_attempt


def job_of(app: Flask, job_id: str) -> JobView:
    with app.app_context():
        return service.get(job_id)


def test_a_job_runs_to_its_result(app: Flask) -> None:
    job = run_attempt(app, add.delay(2, 3).id)
    assert (job.state, job.result, job.worker) == ("SUCCESS", 5, "inprocess@test")


def test_process_reports_each_step(app: Flask) -> None:
    job = run_attempt(app, process.delay(4, step_seconds=0).id)
    assert job.meta == {"current": 4, "total": 4, "message": None}
    assert job.result == {"current": 4, "total": 4}


def test_long_task_says_what_each_step_is_about(app: Flask) -> None:
    app.config["CLASSIC_STEP_SECONDS"] = 0
    job = run_attempt(app, long_task.delay().id)
    assert job.meta["current"] == job.meta["total"]
    assert 10 <= job.meta["total"] <= 50
    assert len(job.meta["message"].split()) == 3
    assert job.result["result"] == 42


def test_flaky_fails_as_often_as_asked_and_then_succeeds(app: Flask) -> None:
    job_id = flaky.delay(2).id
    assert [run_attempt(app, job_id).state for _ in range(3)] == ["RETRY", "RETRY", "SUCCESS"]
    job = job_of(app, job_id)
    assert job.result == "succeeded after 2 failures"
    messages = [attempt["error"] and attempt["error"]["message"] for attempt in job.history]
    assert messages == ["failure 1 of 2, as asked for", "failure 2 of 2, as asked for", None]


def test_flaky_can_be_told_to_give_up_earlier(app: Flask) -> None:
    job_id = flaky.apply_async((3,), max_retries=1).id
    assert [run_attempt(app, job_id).state for _ in range(2)] == ["RETRY", "FAILURE"]
    error = job_of(app, job_id).error
    assert error is not None
    assert error["message"] == "failure 2 of 3, as asked for"


def test_the_pauses_of_flaky_grow_and_vary(app: Flask) -> None:
    random.seed(2)  # the jitter is random; this makes it the same in each run
    job_id = flaky.delay(7).id
    pauses = []
    for _ in range(7):
        due_at = run_attempt(app, job_id).due_at
        assert due_at is not None
        pauses.append(round((due_at - utcnow()).total_seconds()))
    longest = [1, 2, 4, 8, 16, 30, 30]
    assert all(pause <= most for pause, most in zip(pauses, longest, strict=True))
    assert pauses != longest
    assert max(pauses) > 8
