"""Jobs stored in the caller's transaction: there with its commit, gone with its rollback, on every database."""

import time
from datetime import timedelta

import pytest
from flask import Flask

from task_app.errors import JobExists, JobNotFound, SessionHoldsLock
from task_app.extensions import db
from task_app.jobs import publishing, service
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.submission import Submission
from task_app.users.models import User

from .test_service import Recorder, publisher

__all__ = ["publisher"]

ADD = Submission(task="add", args="[1,2]")


def test_a_commit_publishes(publisher: Recorder) -> None:
    db.session.add(User(name="Ann", email="ann@example.com"))
    job_id = service.submit_on_commit(ADD)
    assert publisher.sent == []
    with pytest.raises(JobNotFound):
        service.get(job_id)
    db.session.commit()
    assert [job.id for job in publisher.sent] == [job_id]
    runtime().marks.write()
    assert service.get(job_id).waiting_for(service.get(job_id).created_at) == "worker"
    db.session.commit()
    assert len(publisher.sent) == 1


def test_a_process_that_dies_after_its_commit_leaves_the_job_to_a_dispatcher(publisher: Recorder) -> None:
    here = runtime()
    grace, here.dispatch_grace = here.dispatch_grace, timedelta(seconds=1)
    begin = utcnow()
    job_id = service.submit_on_commit(ADD)
    here.dispatch_grace = grace
    here.publisher = None  # what a kill between commit and publish leaves behind
    db.session.commit()
    here.publisher = publisher
    while not publishing.dispatch(200):  # any dispatcher leaves it alone until the committer had its time
        assert utcnow() - begin < timedelta(seconds=10)
        time.sleep(0.02)
    assert utcnow() - begin >= timedelta(seconds=1)
    assert [job.id for job in publisher.sent] == [job_id]
    assert publishing.dispatch(200) == 0


def test_a_rollback_leaves_no_job(publisher: Recorder) -> None:
    job_id = service.submit_on_commit(ADD)
    db.session.rollback()
    db.session.add(User(name="Ann", email="ann@example.com"))
    db.session.commit()
    assert publisher.sent == []
    with pytest.raises(JobNotFound):
        service.get(job_id)


def test_a_savepoint_takes_its_jobs_with_it(publisher: Recorder) -> None:
    kept = service.submit_on_commit(ADD)
    with db.session.begin_nested():
        also_kept = service.submit_on_commit(ADD)
    assert publisher.sent == []  # the end of a savepoint is no commit
    savepoint = db.session.begin_nested()
    lost = service.submit_on_commit(ADD)
    savepoint.rollback()
    db.session.commit()
    assert [job.id for job in publisher.sent] == [kept, also_kept]
    with pytest.raises(JobNotFound):
        service.get(lost)


def test_a_taken_id_leaves_the_transaction_usable(publisher: Recorder) -> None:
    service.submit(Submission(task="add", id="mine"))
    db.session.add(User(name="Ann", email="ann@example.com"))
    with pytest.raises(JobExists):
        service.submit_on_commit(Submission(task="add", id="mine"))
    db.session.commit()
    assert db.session.query(User).count() == 1
    assert [job.id for job in publisher.sent] == ["mine"]


def test_what_is_due_later_is_left_to_the_dispatcher(publisher: Recorder, every_database: Flask) -> None:
    task = every_database.extensions["celery"].tasks["add"]
    job_id = task.apply_async_on_commit((1, 2), countdown=60, tags=["later"])
    db.session.commit()
    assert publisher.sent == []
    assert service.get(job_id).tags == ["later"] and service.get(job_id).due_at is not None


def test_a_submit_that_could_only_wait_for_its_caller_is_refused(publisher: Recorder) -> None:
    db.session.add(User(name="Ann", email="ann@example.com"))
    db.session.flush()
    if runtime().engine.dialect.name != "sqlite":
        service.submit(ADD)  # servers lock rows, not the database
        return
    with pytest.raises(SessionHoldsLock, match="delay_on_commit"):
        service.submit(ADD)
    db.session.commit()
    service.submit(ADD)
