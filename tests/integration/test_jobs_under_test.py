"""`task_app.testing.Jobs`: jobs are run in the test itself, and their rows are what a worker would have left."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery, chain, chord, group, shared_task
from celery.exceptions import NotRegistered, Retry
from flask import Flask, current_app
from flask.testing import FlaskClient

from task_app.errors import IllegalMove, JobNotFound, SessionHoldsLock, ValueNotStorable
from task_app.extensions import db
from task_app.jobs import queue_control, service
from task_app.jobs.runtime import JobRuntime, runtime
from task_app.jobs.view import JobView
from task_app.tasks import add, flaky, idempotency_token, raise_if_cancelled, report_progress
from task_app.testing import Jobs, TooManyJobs
from task_app.users.models import User

LOG: list[Any] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    LOG.clear()


@shared_task(name="under_test.note", public=False)
def note(what: Any) -> Any:
    LOG.append(what)
    return what


@shared_task(name="under_test.fail", public=False)
def fail(message: str) -> None:
    raise LookupError(message)


@shared_task(name="under_test.join", public=False)
def join(parts: list[Any]) -> list[Any]:
    return sorted(parts)


@shared_task(name="under_test.again", public=False)
def again() -> None:
    again.delay()


@shared_task(name="under_test.sender", public=False)
def sender() -> str:
    note.delay("sent")
    LOG.append("sender")
    return "done"


@shared_task(
    name="under_test.unreliable",
    bind=True,
    autoretry_for=(OSError,),
    retry_backoff=8,
    retry_jitter=False,  # a pause of no seconds is no pause
    public=False,
)
def unreliable(self: Any, failures: int) -> int:
    if self.request.retries < failures:
        raise ConnectionResetError("try again")
    return int(self.request.retries)


@shared_task(name="under_test.unstorable", public=False)
def unstorable() -> object:
    return object()


@shared_task(name="under_test.reporter", public=False)
def reporter() -> None:
    report_progress(1, 4, "one")
    report_progress(3, 4, "three")


@shared_task(name="under_test.cancelled", bind=True, public=False)
def cancelled(self: Any) -> None:
    service.cancel(self.request.id)
    LOG.append("before")
    report_progress(1, 2)
    LOG.append("after")


@shared_task(name="under_test.leaves", public=False)
def leaves() -> None:
    raise SystemExit(3)


@shared_task(name="under_test.context", public=False)
def context() -> str:
    return str(current_app.config["MAIL_FROM"])


def states(ran: list[JobView]) -> list[tuple[str, str]]:
    return [(job.task.removeprefix("under_test."), job.state) for job in ran]


# -- looking ---------------------------------------------------------------------------------------------------------


def test_what_was_submitted_is_found_in_order_and_nothing_was_run(jobs: Jobs) -> None:
    first, second, third = note.delay(1), add.delay(1, b=2), note.delay(3)
    assert [job.id for job in jobs.enqueued()] == [first.id, second.id, third.id]
    assert [job.args for job in jobs.enqueued("under_test.note")] == [[1], [3]]
    assert [job.id for job in jobs.enqueued(add)] == [second.id]
    assert [job.state for job in jobs.enqueued()] == ["PENDING"] * 3
    assert LOG == []


def test_arguments_are_the_same_however_they_were_given(jobs: Jobs) -> None:
    add.delay(1, b=2)
    same: list[tuple[Any, Any]] = [((1, 2), None), (None, {"b": 2, "a": 1}), ([1], {"b": 2})]
    for args, kwargs in same:
        (job,) = jobs.assert_enqueued("add", args=args, kwargs=kwargs, count=1)
        assert job.args == [1]
    others: list[tuple[Any, Any]] = [((1,), None), (None, {"a": 1}), ((), None), ((1, 3), None), ((1, 2), {"b": 2})]
    for args, kwargs in others:
        with pytest.raises(AssertionError):
            jobs.assert_enqueued("add", args=args, kwargs=kwargs)
        jobs.assert_enqueued("add", args=args, kwargs=kwargs, count=0)


def test_what_is_expected_is_compared_as_it_is_stored(jobs: Jobs) -> None:
    day = datetime(2026, 1, 2, tzinfo=UTC)
    note.delay({"when": day, "pair": (1, 2)})
    jobs.assert_enqueued("under_test.note", args=[{"when": day, "pair": [1, 2]}])


def test_queue_and_due_time_are_compared(jobs: Jobs) -> None:
    note.apply_async((1,), queue="slow", countdown=60)
    jobs.assert_enqueued(note, queue="slow", due_at=timedelta(minutes=1))
    jobs.assert_enqueued(note, due_at=datetime.now(UTC) + timedelta(minutes=1))
    jobs.assert_enqueued(note, queue="celery", count=0)
    jobs.assert_enqueued(note, due_at=timedelta(minutes=2), count=0)
    note.delay(2)
    jobs.assert_enqueued(note, due_at=timedelta(0), count=0)


def test_a_failing_assertion_lists_what_is_there(jobs: Jobs) -> None:
    note.apply_async(("x" * 300,), queue="slow", countdown=60)
    add.delay(1, b=2)
    with pytest.raises(AssertionError) as caught:
        jobs.assert_enqueued("add", kwargs={"a": 1, "b": 3}, queue="fast", due_at=timedelta(hours=1), count=2)
    lines = str(caught.value).splitlines()
    expected = "expected 2 jobs add(a=1, b=3) in queue fast due 1:00:00 after it was submitted, found 0"
    assert lines[0] == f"{expected}; enqueued were:"
    assert lines[1].startswith("  under_test.note('xxx") and "…) in queue slow, due 20" in lines[1]
    assert lines[2:] == ["  add(1, b=2) in queue celery: PENDING"]


def test_a_failing_assertion_without_any_job_says_so_and_a_long_list_ends(jobs: Jobs) -> None:
    with pytest.raises(AssertionError, match=r"expected a job add, found 0; enqueued were:\n  no jobs at all$"):
        jobs.assert_enqueued("add")
    for _ in range(25):
        note.delay(1)
    with pytest.raises(AssertionError, match=r"\n  and 5 more$"):
        jobs.assert_enqueued("add")


# -- running ---------------------------------------------------------------------------------------------------------


def test_one_job_is_run_and_nothing_else(jobs: Jobs) -> None:
    other, job = note.delay("other"), sender.delay()
    after = jobs.run_job(job)
    assert (after.state, after.result, after.attempt, after.worker) == ("SUCCESS", "done", 1, "inprocess@test")
    assert after.started_at is not None and after.finished_at is not None
    assert LOG == ["sender"]
    assert jobs.get(other).state == "PENDING"
    (sent,) = jobs.assert_enqueued(note, args=["sent"])
    assert (sent.state, sent.parent_id) == ("PENDING", job.id)


def test_jobs_are_given_as_what_there_is_of_them(jobs: Jobs) -> None:
    results = [note.delay(number) for number in range(3)]
    assert jobs.run_job(results[0]).result == 0
    assert jobs.run_job(results[1].id).result == 1
    assert jobs.run_job(jobs.get(results[2])).result == 2


def test_a_task_is_run_by_name(jobs: Jobs) -> None:
    assert jobs.run_task("add", 1, b=2).result == 3
    assert jobs.run_task(add, 1, 1).result == 2
    with pytest.raises(NotRegistered):
        jobs.run_task("nobody")
    assert len(jobs.enqueued()) == 2


def test_a_task_that_raises_has_its_error_in_the_row(jobs: Jobs) -> None:
    job = jobs.run_task(fail, "gone")
    assert job.state == "FAILURE"
    assert job.error is not None
    assert (job.error["type"], job.error["message"]) == ("LookupError", "gone")
    assert "raise LookupError(message)" in job.error["traceback"]


def test_what_cannot_be_run_is_refused(jobs: Jobs) -> None:
    ended, steps = jobs.run_task(note, 1), chain(note.si(1), note.si(2)).delay()
    with pytest.raises(IllegalMove, match=r"can't run job .*: it is SUCCESS"):
        jobs.run_job(ended)
    with pytest.raises(IllegalMove, match="it is waiting for an earlier step of its chain"):
        jobs.run_job(steps)
    with pytest.raises(JobNotFound):
        jobs.run_job(str(uuid4()))
    assert LOG == [1]


def test_tasks_run_in_the_app(jobs: Jobs, task_app: Flask) -> None:
    task_app.config["MAIL_FROM"] = "me@example.com"
    assert jobs.run_task(context).result == "me@example.com"


def test_arguments_that_cannot_be_stored_are_refused_at_once(jobs: Jobs) -> None:
    with pytest.raises(ValueNotStorable):
        note.delay(object())
    assert jobs.enqueued() == []


def test_a_result_that_cannot_be_stored_fails_the_job(jobs: Jobs) -> None:
    job = jobs.run_task(unstorable)
    assert job.state == "FAILURE"
    assert job.error is not None and job.error["type"] == "ValueNotStorable"


def test_progress_is_reported(jobs: Jobs) -> None:
    job = jobs.run_task(reporter)
    assert job.meta == {"current": 3, "total": 4, "message": "three"}


def test_a_job_that_is_cancelled_while_it_runs_ends_there(jobs: Jobs) -> None:
    job = jobs.run_task(cancelled)
    assert (job.state, LOG) == ("REVOKED", ["before"])
    assert job.error is not None and job.error["message"] == "cancelled"


def test_a_job_that_was_cancelled_before_is_not_run(jobs: Jobs, task_app_client: FlaskClient) -> None:
    job = note.delay(1)
    assert task_app_client.post(f"/tasks/{job.id}/cancel").status_code == 202
    assert jobs.drain() == []
    assert jobs.get(job).state == "REVOKED"


def test_a_process_that_ends_loses_the_attempt(jobs: Jobs, task_app: Flask) -> None:
    task_app.config["MAX_RESCUES"] = 1
    job = jobs.run_task(leaves)
    assert (job.state, job.attempt, [line["state"] for line in job.history]) == ("RETRY", 2, ["LOST"])
    assert jobs.run_job(job).state == "FAILURE"


def test_a_lost_job_runs_again(jobs: Jobs) -> None:
    job = jobs.lose_job(sender.delay())
    assert (job.state, job.attempt, job.result) == ("RETRY", 2, None)
    assert job.history[0]["state"] == "LOST"
    after = jobs.run_job(job)
    assert (after.state, [line["state"] for line in after.history]) == ("SUCCESS", ["LOST", "SUCCESS"])
    assert LOG == ["sender", "sender"]
    with pytest.raises(IllegalMove):
        jobs.lose_job(job)


def test_what_a_lost_attempt_raises_is_seen(jobs: Jobs) -> None:
    job = fail.delay("gone")
    with pytest.raises(LookupError):
        jobs.lose_job(job)
    assert (jobs.get(job).state, jobs.get(job).history[0]["state"]) == ("RETRY", "LOST")
    assert add.request.called_directly is True


def test_a_job_of_an_unknown_task_fails_as_in_a_worker(jobs: Jobs, task_app: Flask) -> None:
    celery: Celery = task_app.extensions["celery"]
    job = jobs.run_job(celery.send_task("nobody"))
    assert job.state == "FAILURE"
    assert job.error is not None and job.error["type"] == "NotRegistered"


def test_an_error_of_the_database_is_the_jobs_error(jobs: Jobs) -> None:
    @shared_task(name="under_test.twice", public=False)
    def twice() -> None:
        db.session.add_all([user("ann"), user("ann")])
        db.session.commit()

    job = jobs.run_task(twice)
    assert job.error is not None and job.error["type"] == "IntegrityError"


@shared_task(name="under_test.tokens", public=False)
def tokens() -> list[str]:
    found = [idempotency_token(), idempotency_token("a"), idempotency_token("b")]
    LOG.append(found)
    return found


def test_a_token_is_the_same_in_every_attempt(jobs: Jobs) -> None:
    job = jobs.run_job(jobs.lose_job(tokens.delay()))
    assert [job.result, job.result] == LOG
    assert len({*job.result, *jobs.run_task(tokens).result}) == 6
    assert all(UUID(token) for token in job.result)


def test_there_is_no_token_outside_of_a_job(jobs: Jobs) -> None:
    for call in (idempotency_token, tokens):
        with pytest.raises(RuntimeError, match="runs as a job"):
            call()


# -- until nothing is left -------------------------------------------------------------------------------------------


def test_all_are_run_with_what_they_send(jobs: Jobs) -> None:
    note.delay("late")
    sender.apply_async(priority=9)
    assert states(jobs.drain()) == [("sender", "SUCCESS"), ("note", "SUCCESS"), ("note", "SUCCESS")]
    assert LOG == ["sender", "late", "sent"]
    assert jobs.drain() == []


def test_a_chain_runs_step_by_step(jobs: Jobs) -> None:
    last = chain(add.s(1, 1), add.s(2), add.s(3)).delay()
    assert [job.result for job in jobs.drain()] == [2, 4, 7]
    assert last.get(timeout=1) == 7


def test_a_chain_ends_where_a_step_fails(jobs: Jobs) -> None:
    last = chain(note.si(1), fail.si("gone"), note.si(3)).delay()
    assert states(jobs.drain()) == [("note", "SUCCESS"), ("fail", "FAILURE")]
    assert (jobs.get(last.id).state, LOG) == ("FAILURE", [1])


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_chord_has_the_results_of_its_parts(jobs: Jobs, *, eagerly: bool) -> None:
    if eagerly:
        with jobs.eager():
            body = chord([add.s(1, 1), add.s(2, 2), chain(add.s(3, 3), add.s(1))], join.s()).delay()
    else:
        body = chord([add.s(1, 1), add.s(2, 2), chain(add.s(3, 3), add.s(1))], join.s()).delay()
        assert jobs.get(body.id).state == "PENDING"
        jobs.drain()
    assert jobs.get(body.id).result == [2, 4, 7]


def test_a_chord_with_a_part_that_fails_fails(jobs: Jobs) -> None:
    body = chord([add.s(1, 1), fail.s("gone")], join.s()).delay()
    jobs.drain()
    job = jobs.get(body.id)
    assert (job.state, job.error and job.error["type"]) == ("FAILURE", "ChordError")


def test_a_group_is_done(jobs: Jobs) -> None:
    result = group(add.s(number, number) for number in range(3)).delay()
    jobs.drain()
    assert result.get(timeout=1) == [0, 2, 4]


def test_retries_wait_for_their_time_or_for_nobody(jobs: Jobs) -> None:
    job = unreliable.delay(2)
    assert states(jobs.drain()) == [("unreliable", "RETRY")]
    assert jobs.drain() == []
    waiting = jobs.get(job)
    assert waiting.due_at is not None and waiting.due_at > datetime.now(UTC)
    assert states(jobs.drain(ignore_due=True)) == [("unreliable", "RETRY"), ("unreliable", "SUCCESS")]
    after = jobs.get(job)
    assert (after.result, after.attempt) == (2, 3)
    assert [line["error"] and line["error"]["type"] for line in after.history] == ["ConnectionResetError"] * 2 + [None]


def test_a_job_for_later_is_run_when_asked_for(jobs: Jobs) -> None:
    late = note.apply_async(("late",), countdown=7200)
    later, soon = note.apply_async(("later",), countdown=9000), note.apply_async(("soon",), countdown=3600)
    note.delay("now")
    assert jobs.run_job(late).state == "SUCCESS"
    jobs.drain(ignore_due=True)
    assert LOG == ["late", "now", "soon", "later"]
    assert jobs.get(later).state == jobs.get(soon).state == "SUCCESS"


def test_an_expired_job_is_revoked(jobs: Jobs) -> None:
    note.apply_async((1,), expires=datetime.now(UTC) - timedelta(seconds=1))
    assert states(jobs.drain()) == [("note", "REVOKED")]
    assert LOG == []


def test_jobs_that_send_each_other_are_stopped(jobs: Jobs) -> None:
    again.delay()
    with pytest.raises(TooManyJobs, match=r"^5 attempts were run, and jobs still wait; the last was of under_test\."):
        jobs.drain(limit=5)
    assert len(jobs.enqueued()) == 6
    note.delay(1)


def test_a_limit_that_is_enough_is_no_error(jobs: Jobs) -> None:
    sender.delay()
    assert len(jobs.drain(limit=2)) == 2


def test_jobs_in_a_paused_queue_stay(jobs: Jobs, task_app: Flask) -> None:
    note.delay(1)
    with task_app.app_context(), runtime().engine.connect() as connection:
        queue_control.pause(connection, "celery", "me")
        assert jobs.drain() == []
        queue_control.resume(connection, "celery")
    assert len(jobs.drain()) == 1


def test_a_batch_over_http_is_run(jobs: Jobs, task_app_client: FlaskClient) -> None:
    batch = [{"task": "add", "args": [number, 1]} for number in range(3)]
    assert task_app_client.post("/tasks/batch", json={"jobs": batch}).status_code == 202
    assert [job.result for job in jobs.drain()] == [1, 2, 3]


def test_bad_arguments_over_http_leave_nothing(jobs: Jobs, task_app_client: FlaskClient) -> None:
    answer = task_app_client.post("/tasks/add", json={"a": 1, "b": "two"})
    assert (answer.status_code, jobs.enqueued()) == (422, [])


# -- at once ---------------------------------------------------------------------------------------------------------


def test_a_job_is_done_when_delay_returns(jobs: Jobs) -> None:
    with jobs.eager():
        result = add.delay(1, 2)
        assert (result.state, result.get(timeout=1)) == ("SUCCESS", 3)
        failed = fail.delay("gone")
        assert jobs.get(failed).error is not None
    assert add.delay(1, 2).state == "PENDING"


def test_what_a_job_sends_is_run_after_it(jobs: Jobs) -> None:
    with jobs.eager():
        sender.delay()
    assert LOG == ["sender", "sent"]
    assert [job.state for job in jobs.enqueued()] == ["SUCCESS", "SUCCESS"]


def test_a_long_chain_is_no_recursion(jobs: Jobs) -> None:
    with jobs.eager():
        last = chain(add.s(0, 1), *[add.s(1)] * 150).delay()
    assert jobs.get(last).result == 151


def test_an_endless_eager_job_is_stopped(jobs: Jobs) -> None:
    with jobs.eager(limit=5), pytest.raises(TooManyJobs):
        again.delay()
    assert len(jobs.enqueued()) == 6
    with jobs.eager():
        assert note.delay(1).state == "SUCCESS"
    assert LOG == [1]


def test_retries_without_a_pause_are_run_at_once(jobs: Jobs) -> None:
    @shared_task(name="under_test.at_once", bind=True, public=False)
    def at_once(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(exc=LookupError("not yet"), countdown=0)
        return int(self.request.retries)

    with jobs.eager():
        job = jobs.get(at_once.delay())
        assert (job.state, job.result, job.attempt) == ("SUCCESS", 2, 3)
        later = jobs.get(unreliable.delay(1))
    assert (later.state, later.attempt) == ("RETRY", 2)


def test_jobs_over_http_are_done_too(jobs: Jobs, task_app_client: FlaskClient) -> None:
    with jobs.eager():
        accepted = task_app_client.post("/tasks/add", json={"a": 1, "b": 2})
    assert accepted.status_code == 202
    assert task_app_client.get(accepted.headers["Location"]).get_json()["task_result"] == 3


def test_run_job_runs_what_is_sent_too_while_eager(jobs: Jobs) -> None:
    job = sender.delay()
    with jobs.eager():
        jobs.run_job(job)
        assert jobs.run_task(sender).state == "SUCCESS"
    assert LOG == ["sender", "sent"] * 2


# -- with the user's own transaction -----------------------------------------------------------------------------------


def user(name: str) -> User:
    return User(name=name, email=f"{name}@example.com")


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_job_on_commit_comes_with_the_commit(jobs: Jobs, task_app: Flask, *, eagerly: bool) -> None:
    with task_app.app_context():
        db.session.add(user("ann"))
        db.session.flush()
        if eagerly:
            with jobs.eager():
                job_id = sender.delay_on_commit()
                assert LOG == []
                db.session.commit()
        else:
            job_id = sender.delay_on_commit()
            db.session.commit()
            jobs.drain()
        assert db.session.query(User).count() == 1
    assert (jobs.get(job_id).state, LOG) == ("SUCCESS", ["sender", "sent"])


def test_a_rollback_leaves_no_job(jobs: Jobs, task_app: Flask) -> None:
    with task_app.app_context(), jobs.eager():
        note.delay_on_commit(1)
        db.session.rollback()
        db.session.commit()
    assert (jobs.enqueued(), LOG) == ([], [])


def test_a_test_that_holds_the_lock_is_told_so_at_once(jobs: Jobs, task_app: Flask) -> None:
    job = note.delay(1)
    with task_app.app_context():
        db.session.add(user("ann"))
        db.session.flush()
        for run in (jobs.drain, lambda: jobs.run_job(job)):
            with pytest.raises(SessionHoldsLock):
                run()
        db.session.rollback()
        assert len(jobs.drain()) == 1


# -- more than one ---------------------------------------------------------------------------------------------------


def test_a_task_called_directly_is_a_function_as_ever(jobs: Jobs) -> None:
    assert add(1, 2) == 3
    with pytest.raises(Retry):
        unreliable.apply(args=(1,), throw=True)
    assert jobs.enqueued() == []


@pytest.fixture
def jobs_of_every_database(every_database: Flask) -> Iterator[Jobs]:
    """The app lives on for other tests, and they want its own publisher."""
    runtime: JobRuntime = every_database.extensions["jobs"]
    publisher = runtime.publisher
    yield Jobs(every_database)
    runtime.publisher = publisher


def test_every_database_runs_jobs(every_database: Flask, jobs_of_every_database: Jobs) -> None:
    jobs = jobs_of_every_database
    every_database.extensions["celery"].set_default()
    last = chain(add.s(1, 1), add.s(2)).delay()
    lost = jobs.lose_job(note.delay(1))
    flaky.delay(1)
    jobs.drain(ignore_due=True)
    assert (jobs.get(last.id).result, jobs.get(lost).state) == (4, "SUCCESS")
    assert {job.state for job in jobs.enqueued()} == {"SUCCESS"}


def test_a_cancel_is_seen_by_a_task_that_only_asks(jobs: Jobs) -> None:
    @shared_task(name="under_test.asks", bind=True, public=False)
    def asks(self: Any) -> None:
        raise_if_cancelled()
        service.cancel(self.request.id)
        raise_if_cancelled()
        LOG.append("went on")

    assert jobs.run_task(asks).state == "REVOKED"
    assert LOG == []
