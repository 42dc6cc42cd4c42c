"""Submitting and steering, on every database, with a publisher that can be told to refuse."""

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import event

from task_app.errors import BrokerUnavailable, IllegalMove, JobExists, JobNotFound, Unpublishable, ValueNotStorable
from task_app.jobs import lists, publishing, queries, service, transitions, workers
from task_app.jobs.ids import new_id
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.service import Taken
from task_app.jobs.states import State, WaitReason, is_final
from task_app.jobs.submission import Outgoing, Sender, Submission
from task_app.jobs.workers import Beat, WorkerCard

from ..acceptance.stack import until
from ..factories import insert_job, job_row


class Recorder:
    """A publisher that keeps what it was given; the kernel's seam, not a stand-in for Celery."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.away = False
        self.impossible: set[str] = set()

    def route(self, submission: Submission) -> Submission:
        return replace(submission, queue=submission.queue or "celery", priority=submission.priority or 5)

    def publish(self, job: Outgoing) -> None:
        if self.away:
            raise BrokerUnavailable("connection refused")
        if job.id in self.impossible:
            raise Unpublishable("nonsense")
        self.sent.append(job)

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def refusal(self) -> str | None:
        return None

    def is_doubtful(self) -> bool:
        return self.away

    def depth(self, queue: str) -> int:
        return 0


@pytest.fixture
def publisher(every_database: Flask) -> Iterator[Recorder]:
    with every_database.app_context():
        here = runtime()
        before, here.publisher = here.publisher, Recorder()
        yield here.publisher
        here.publisher = before


def claim(job_id: str, attempt: int = 1, worker_id: str = "life-1") -> bool:
    with runtime().engine.connect() as connection:
        return transitions.claim(connection, job_id, attempt, worker="w@h", worker_id=worker_id, now=datetime.now(UTC))


def test_a_job_is_stored_before_its_message_is_sent(publisher: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = []
    monkeypatch.setattr(publisher, "publish", lambda job: stored.append(service.get(job.id).state))
    job = service.submit(Submission(task="add", args="[1,2]", tags=("red", "blue", "red")))
    assert stored == ["PENDING"]
    assert service.get(job.id).tags == ["red", "blue"]
    assert job.published_at is not None
    runtime().marks.write()
    assert service.get(job.id).published_at is not None


def test_a_submit_survives_the_broker(publisher: Recorder) -> None:
    publisher.away = True
    job = service.submit(Submission(task="add"))
    assert job.waiting_for(utcnow()) == "broker"
    assert service.get(job.id).waiting_for(utcnow()) == "broker"
    publisher.away = False
    _ring(job.id)
    assert publishing.dispatch(200) == 1
    assert [sent.id for sent in publisher.sent] == [job.id]
    assert service.get(job.id).waiting_for(utcnow()) == "worker"


def test_a_submit_costs_one_statement_and_a_share_in_another(publisher: Recorder) -> None:
    statements: list[str] = []
    event.listen(runtime().engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    jobs = [service.submit(Submission(task="add")) for _ in range(3)]
    runtime().marks.write()
    inserts = [statement for statement in statements if statement.startswith("INSERT")]
    assert len(inserts) == len(jobs) == 3
    assert all(service.get(job.id).waiting_for(utcnow()) == "worker" for job in jobs)


def test_marks_are_written_by_themselves(publisher: Recorder) -> None:
    marks = runtime().marks
    jobs = [service.submit(Submission(task="add")) for _ in range(5)]
    assert any((job.id, 1) in marks for job in jobs)
    until(lambda: not any((job.id, 1) in marks for job in jobs), "all marks")
    assert all(service.get(job.id).published_at is not None for job in jobs)


def test_marks_need_no_thread(publisher: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    until(lambda: "marks" not in {thread.name for thread in threading.enumerate()}, "the end of the thread before")
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    first = service.submit(Submission(task="add"))
    monkeypatch.undo()
    assert service.get(first.id).published_at is not None
    second = service.submit(Submission(task="add"))
    until(lambda: service.get(second.id).published_at, "the mark of a later job")


def test_a_due_time_is_left_to_the_dispatcher(publisher: Recorder) -> None:
    job = service.submit(Submission(task="add", due_at=datetime.now(UTC) + timedelta(hours=1)))
    assert publisher.sent == []
    assert job.waiting_for(utcnow()) == "due time"
    assert publishing.dispatch(200) == 0
    _ring(job.id)
    assert publishing.dispatch(200) == 1


def test_the_dispatcher_takes_the_most_urgent_first(publisher: Recorder) -> None:
    publisher.away = True
    ids = [service.submit(Submission(task="add", priority=priority)).id for priority in (3, 9, 5, 9)]
    publisher.away = False
    _ring(*ids)
    publishing.dispatch(200)
    assert [job.priority for job in publisher.sent] == [9, 9, 5, 3]
    assert [job.id for job in publisher.sent[:2]] == [ids[1], ids[3]]


def test_many_dispatchers_send_each_job_once(every_database: Flask, publisher: Recorder) -> None:
    ids = service.submit_many([Submission(task="add") for _ in range(300)])
    lock, start = threading.Lock(), threading.Barrier(4)
    record = publisher.sent.append

    def careful(job: Outgoing) -> None:
        with lock:
            record(job)

    publisher.publish = careful  # type: ignore[method-assign]

    def run() -> None:
        with every_database.app_context():
            start.wait()
            while publishing.dispatch(50):
                pass

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while publishing.dispatch(50):
        pass
    assert sorted(job.id for job in publisher.sent) == sorted(ids)


def test_a_batch_is_all_or_nothing(publisher: Recorder) -> None:
    taken = service.submit(Submission(task="add")).id
    with pytest.raises(JobExists) as caught:
        service.submit_many([Submission(task="add", id="fresh"), Submission(task="add", id=taken)])
    assert caught.value.job_id == taken
    with pytest.raises(JobNotFound):
        service.get("fresh")
    with pytest.raises(JobExists):
        service.submit_many([Submission(task="add", id="twice"), Submission(task="add", id="twice")])


def test_a_taken_id_is_refused_or_the_same_job(publisher: Recorder) -> None:
    job = service.submit(Submission(task="add", args="[1]"))
    same = Submission(task="add", args="[1]", id=job.id)
    with pytest.raises(JobExists):
        service.submit(same)
    assert service.submit(same, taken=Taken.SAME).id == job.id
    assert len(publisher.sent) == 1
    with pytest.raises(JobExists):
        service.submit(replace(same, args="[2]"), taken=Taken.SAME)
    assert service.submit(replace(same, args="[2]"), taken=Taken.KEEP).args == [1]


def test_an_attempt_that_is_over_does_not_start_the_next_step(publisher: Recorder) -> None:
    step = Submission(task="second", id="01a1fee2-0000-7000-8000-000000000001")
    first = service.submit(Submission(task="first"), followers=[step]).id
    claim(first)
    assert service.give_up_attempt(first, 1, reason="gone", max_rescues=3) == State.RETRY
    late = replace(step, args="[1]", parent_id=first)
    service.submit(late, taken=Taken.KEEP, sender=Sender(first, 1))
    assert [job.id for job in publisher.sent] == [first]
    claim(first, 2)
    service.submit(late, taken=Taken.KEEP, sender=Sender(first, 2))
    assert [(job.id, job.args) for job in publisher.sent[1:]] == [(step.id, "[1]")]


def test_arguments_over_the_limit_are_refused(publisher: Recorder) -> None:
    with pytest.raises(ValueNotStorable, match="JOB_ARGUMENTS_LIMIT"):
        service.submit(Submission(task="add", args=json.dumps(["x" * 2_000_000])))
    assert service.page(lists.Filter(), limit=1).jobs == []


def test_a_job_without_a_possible_message_fails_and_stops_nobody(publisher: Recorder) -> None:
    publisher.away = True
    bad, good = (service.submit(Submission(task=name)).id for name in ("bad", "good"))
    publisher.away = False
    publisher.impossible = {bad}
    _ring(bad, good)
    publishing.dispatch(200)
    assert [job.id for job in publisher.sent] == [good]
    failed = service.get(bad)
    assert failed.state == "FAILURE" and failed.error is not None and "no message" in failed.error["message"]


@pytest.mark.parametrize("tag", ["", "x" * 101, "a\x00b", "two\nlines"])
def test_tags_that_cannot_be_kept_are_refused(publisher: Recorder, tag: str) -> None:
    with pytest.raises(ValueNotStorable, match="tag"):
        service.submit(Submission(task="add", tags=(tag,)))


def test_tags_that_differ_by_white_space_are_one(publisher: Recorder) -> None:
    assert service.get(service.submit(Submission(task="add", tags=("a", "a ", " a"))).id).tags == ["a"]


def test_edited_arguments_obey_the_limit(publisher: Recorder) -> None:
    job_id = service.submit(Submission(task="add")).id
    service.cancel(job_id)
    with pytest.raises(ValueNotStorable):
        service.retry(job_id, args=json.dumps(["x" * 2_000_000]))


def test_cancel_follows_the_state(publisher: Recorder) -> None:
    waiting, running, ended = (service.submit(Submission(task="add")).id for _ in range(3))
    claim(running)
    claim(ended)
    with runtime().engine.connect() as connection:
        transitions.succeed(connection, ended, 1, result="1", children=None, now=utcnow())
    assert service.cancel(waiting).state == "REVOKED"
    assert service.cancel(running).cancel_requested_at is not None
    assert service.cancel(running).state == "STARTED"
    with pytest.raises(IllegalMove):
        service.cancel(ended)
    with pytest.raises(JobNotFound):
        service.cancel("nobody")


def test_retry_and_delete_need_an_ended_job(publisher: Recorder) -> None:
    job_id = service.submit(Submission(task="add", args="[1,2]")).id
    for forbidden in (service.retry, service.delete):
        with pytest.raises(IllegalMove):
            forbidden(job_id)
        with pytest.raises(JobNotFound):
            forbidden("nobody")
    service.cancel(job_id)
    job = service.retry(job_id, args="[3]")
    assert (job.state, job.attempt, job.args, job.published_at is not None) == ("PENDING", 2, [3], True)
    assert publisher.sent[-1].attempt == 2
    service.cancel(job_id)
    service.delete(job_id)
    with pytest.raises(JobNotFound):
        service.get(job_id)


def test_a_lost_attempt_is_given_another_until_the_cap(publisher: Recorder) -> None:
    job_id = service.submit(Submission(task="add")).id
    for attempt in (1, 2):
        claim(job_id, attempt)
        assert service.give_up_attempt(job_id, attempt, reason="gone", max_rescues=2) == State.RETRY
        assert service.give_up_attempt(job_id, attempt, reason="gone", max_rescues=2) is None
        assert service.get(job_id).waiting_for(utcnow()) == "dispatch"
    claim(job_id, 3)
    assert service.give_up_attempt(job_id, 3, reason="gone", max_rescues=2) == State.FAILURE
    assert [entry["state"] for entry in service.get(job_id).history] == ["LOST", "LOST", "FAILURE"]


def test_a_lost_attempt_of_a_cancelled_job_is_revoked(publisher: Recorder) -> None:
    job_id = service.submit(Submission(task="add")).id
    claim(job_id)
    service.cancel(job_id)
    assert service.give_up_attempt(job_id, 1, reason="gone", max_rescues=3) == State.REVOKED


def test_what_a_gone_worker_held_is_found(publisher: Recorder) -> None:
    card = WorkerCard(
        id="life-9", name="w@h", host="h", pid=1, version="0", pool="prefork", concurrency=2, queues=["celery"]
    )
    job_id = service.submit(Submission(task="add")).id
    claim(job_id, worker_id="life-9")
    with runtime().engine.connect() as connection:
        workers.register(connection, card)
        workers.register(connection, card)
        assert workers.silent(connection, timedelta(seconds=30)) == {}
        assert list(workers.silent(connection, timedelta(seconds=-1))) == ["life-9"]
        assert [held.id for held in queries.held_by(connection, ["life-9"], 10)] == [job_id]
        assert workers.beat(connection, "life-9", Beat(running=[job_id], prefetched=["other"]))
        assert workers.held_by_the_living(connection, timedelta(seconds=30)) == {job_id, "other"}
        assert queries.held_by_nobody(connection, utcnow(), 10) == []
        workers.say_goodbye(connection, "life-9")
        assert [held.id for held in queries.held_by_nobody(connection, utcnow(), 10)] == [job_id]


def test_a_replaced_job_waits_and_is_taken_over(publisher: Recorder) -> None:
    job_id = service.submit(Submission(task="first")).id
    claim(job_id)
    for _ in range(2):  # the second time as after an answer that did not come
        assert service.wait_for_replacement(job_id, 1, "{}\n")
    assert service.get(job_id).waiting_for(utcnow()) == "replacement"
    service.replacement_sent(job_id, 2)
    assert publishing.dispatch(200) == 0
    job = service.submit(Submission(task="second", args="[7]", id=job_id), taken=Taken.SAME)
    assert (job.task, job.args, job.attempt) == ("second", [7], 2)
    assert publisher.sent[-1].task == "second"


def test_a_crash_while_replacing_runs_the_task_again(publisher: Recorder) -> None:
    job_id = service.submit(Submission(task="first")).id
    claim(job_id)
    assert service.wait_for_replacement(job_id, 1, "{}\n")
    # The process dies here.
    _ring(job_id)
    assert publishing.dispatch(200) == 1
    assert claim(job_id, 2)


def _ring(*job_ids: str) -> None:
    """Let the alarms of these jobs ring now, instead of waiting for their time."""
    with runtime().engine.connect() as connection:
        for job_id in job_ids:
            attempt = service.get(job_id).attempt
            transitions.lease_for_dispatch(connection, [(job_id, attempt)], utcnow() - timedelta(seconds=1))


def test_an_orphan_is_found_behind_many_that_wait_for_good_reasons(publisher: Recorder) -> None:
    long_ago = utcnow() - timedelta(hours=1)
    with runtime().engine.connect() as connection:
        first = insert_job(connection)
        waits = {"blocked_by": WaitReason.CHAIN, "dispatch_at": None, "created_at": long_ago}
        transitions.insert_jobs(connection, [job_row(parent_id=first, **waits) for _ in range(57)])
        orphan = insert_job(connection, id="ffffffff-the-last", parent_id="nobody", **waits)
    places, looks = service.Places(), 0
    while not is_final(service.get(orphan).state):
        _, places = service.end_orphans(1, places)
        looks += 1
        assert looks <= 6, "ten steps a look"
    assert looks == 6
    _, places = service.end_orphans(100, service.Places())
    assert places == service.Places(), "from the beginning again"


def test_what_waited_for_others_is_due_when_they_have_ended(publisher: Recorder) -> None:
    job_id = new_id()
    service.submit_waiting(Submission(task="body", id=job_id), WaitReason.CHORD)
    sent_at = service.get(job_id).created_at
    before = utcnow()
    service.submit(Submission(task="body", args="[7]", id=job_id), taken=Taken.SAME)
    job = service.get(job_id)
    assert job.created_at == sent_at and job.due_at is not None and before <= job.due_at <= utcnow()
