"""Arguments that are too large for a message stay in the row; the process that claims the job takes them from there."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery, chain, shared_task
from celery.app.trace import build_tracer
from flask import Flask
from kombu import Connection
from sqlalchemy.exc import OperationalError

from task_app.errors import JobNotFound
from task_app.jobs import queries, service, transitions
from task_app.jobs.runtime import JobRuntime, runtime
from task_app.jobs.submission import Outgoing
from task_app.jobs.view import JobView
from task_app.mirror.in_row import HEADER
from task_app.mirror.plain import _CatchingTransport
from task_app.mirror.publisher import CeleryPublisher
from task_app.mirror.task import JobTask

#: Over the default limit.
LONG = ["word"] * 20_000
told: list[Any] = []


class Tells(JobTask):
    """A task with code of its own around it, all of which gets the arguments."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        super().before_start(task_id, args, kwargs)
        told.append(("before", len(args[0])))

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        told.append(("success", len(args[0])))

    def after_return(self, status: Any, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        told.append(("after", len(args[0]), kwargs))


class Deaf(JobTask):
    """A task that does not call up: `__call__` claims."""

    abstract = True

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        told.append(("before", list(args)))


@shared_task(name="in_row.count", base=Tells)
def count(words: list[str], *, more: int = 0) -> int:
    """Count words."""
    return len(words) + more


@shared_task(name="in_row.count_deaf", base=Deaf)
def count_deaf(words: list[str]) -> int:
    """Count words."""
    return len(words)


@shared_task(name="in_row.again", bind=True, autoretry_for=(ValueError,), retry_backoff=False, default_retry_delay=0)
def again(self: Any, words: list[str], how: str) -> int:
    """Succeed the second time."""
    if self.request.retries:
        return len(words)
    if how == "retry":
        raise self.retry(countdown=0)
    raise ValueError(how)


@shared_task(name="in_row.put_in_place", bind=True)
def put_in_place(self: Any, words: list[str]) -> Any:
    """Let another task answer."""
    raise self.replace(count.si(words, more=1))


@pytest.fixture(autouse=True)
def told_nothing(app: Flask) -> Iterator[None]:
    app.extensions["celery"].finalize(auto=True)
    with app.app_context():
        yield
    told.clear()


def outgoing(job_id: str) -> Outgoing:
    with runtime().engine.connect() as connection:
        found = queries.outgoing(connection, job_id)
    assert found is not None
    return found


def message_of(job: Outgoing) -> Any:
    """Return the message that a broker would get."""
    publisher = runtime().publisher
    assert isinstance(publisher, CeleryPublisher)
    with Connection(transport=_CatchingTransport) as connection:
        producer = connection.Producer()
        publisher._send(job, producer)
        return producer.channel.caught


def body_of(message: Any) -> Any:
    return json.loads(base64.b64decode(message["body"]))


def run(message: Any, **headers: Any) -> JobView:
    """Let Celery's own tracer do with a message what a worker's child does."""
    celery: Celery = runtime().publisher._celery  # type: ignore[union-attr]
    args, kwargs, embed = body_of(message)
    request = {**message["headers"], "hostname": "w@test", "delivery_info": {"routing_key": "celery"}, **embed}
    request |= {"args": args, "kwargs": kwargs, **headers}
    task = celery.tasks[request["task"]]
    build_tracer(task.name, task, app=celery)(request["id"], args, kwargs, request)
    return service.get(request["id"])


def test_a_message_carries_what_fits_and_no_more(app: Flask) -> None:
    limit = app.config["MESSAGE_ARGUMENTS_LIMIT"]
    for length, is_left in ((limit - 30, False), (limit, True), (1_000_000, True)):
        job = outgoing(count.delay(["x" * length]).id)
        message = message_of(job)
        assert message["headers"].get(HEADER, False) is is_left
        assert body_of(message)[:2] == ([[], {}] if is_left else [[["x" * length]], {}])
        assert message["headers"]["argsrepr"] == job.args[:1024], "for logs and monitors"
        assert len(json.dumps(message)) < 4000 or not is_left
    publisher = runtime().publisher
    assert isinstance(publisher, CeleryPublisher)
    assert publisher._plain.of(job) is None, "nor the short way"
    assert publisher._plain.of(replace(job, args="[]")) is not None


def test_what_is_to_follow_counts_and_stays_as_well() -> None:
    sent = chain(count.s(["one"]).set(link_error=[count.si(["no"])]), count.si(LONG)).delay()
    first = message_of(outgoing(sent.parent.id))
    assert first["headers"][HEADER] is True
    carried = body_of(first)[2]
    assert (carried["chain"], carried["errbacks"]) == (None, None)
    assert run(first).result == 1
    assert service.get(sent.id).blocked_by is None, "the next step was sent"
    assert run(message_of(outgoing(sent.id))).result == len(LONG)


def test_a_task_and_the_code_around_it_get_their_arguments() -> None:
    message = message_of(outgoing(count.delay(LONG, more=5).id))
    job = run(message)
    assert (job.state, job.result) == ("SUCCESS", len(LONG) + 5)
    assert told == [("before", len(LONG)), ("success", len(LONG)), ("after", len(LONG), {"more": 5})]


def test_a_task_that_does_not_call_up_gets_them_when_it_is_called() -> None:
    assert run(message_of(outgoing(count_deaf.delay(LONG).id))).result == len(LONG)
    assert told == [("before", [])]


@pytest.mark.parametrize("how", ["retry", "autoretry"])
def test_another_attempt_has_the_same_arguments(how: str) -> None:
    job_id = again.delay(LONG, how).id
    assert run(message_of(outgoing(job_id))).state == "RETRY"
    second = message_of(outgoing(job_id))
    assert second["headers"][HEADER] is True and second["headers"]["job_attempt"] == 2
    job = run(second)
    assert (job.state, job.result, job.args) == ("SUCCESS", len(LONG), [LONG, how])


def test_a_replacement_gets_its_own() -> None:
    job_id = put_in_place.delay(LONG).id
    run(message_of(outgoing(job_id)))
    job = run(message_of(outgoing(job_id)))
    assert (job.state, job.task, job.result) == ("SUCCESS", "in_row.count", len(LONG) + 1)


def test_a_compressed_message_leaves_them_as_well() -> None:
    job = outgoing(count.apply_async((LONG,), compression="zlib").id)
    assert message_of(job)["headers"][HEADER] is True


def test_an_eager_call_needs_no_row(app: Flask) -> None:
    assert count.apply((LONG,)).result == len(LONG)


def test_a_database_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    message = message_of(outgoing(count.delay(LONG).id))
    row, looks = queries.row, 0

    def row_at_the_third_look(connection: Any, job_id: str, *columns: str) -> Any:
        nonlocal looks
        if "args" in columns:
            looks += 1
            if looks < 3:
                raise OperationalError("SELECT", {}, Exception("the server has gone away"))
        return row(connection, job_id, *columns)

    monkeypatch.setattr(queries, "row", row_at_the_third_look)
    assert run(message).result == len(LONG)
    assert looks == 3


# -- who may take them -------------------------------------------------------------------------------------------


def test_a_message_whose_row_is_gone_makes_no_job(app: Flask) -> None:
    job_id = count.delay(LONG).id
    message = message_of(outgoing(job_id))
    service.cancel(job_id)
    service.delete(job_id)
    with pytest.raises(JobNotFound):
        run(message)
    assert told == []


def test_a_stale_message_takes_nothing() -> None:
    job_id = again.delay(LONG, "retry").id
    stale = message_of(outgoing(job_id))
    run(stale)
    assert (run(stale).state, run(stale).attempt) == ("RETRY", 2)


def test_an_attempt_that_is_lost_before_it_has_its_arguments_is_dropped(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = count.delay(LONG).id
    message = message_of(outgoing(job_id))
    claim = transitions.claim

    def claim_and_lose(*args: Any, **values: Any) -> bool:
        claimed = claim(*args, **values)
        service.give_up_attempt(job_id, 1, reason="lost", max_rescues=None)
        return claimed

    monkeypatch.setattr(transitions, "claim", claim_and_lose)
    job = run(message)
    assert (job.state, job.attempt) == ("RETRY", 2) and told == []


def test_a_message_for_another_task_reads_no_arguments() -> None:
    job_id = count.delay(LONG).id
    job = run(message_of(outgoing(job_id)), task="in_row.count_deaf")
    assert job.state == "FAILURE" and job.error is not None
    assert job.error["type"] == "WrongMessage"
    assert "names the task in_row.count_deaf; its row names in_row.count" in job.error["message"]
    assert "word" not in json.dumps(job.error)


def test_what_can_not_be_read_fails_the_job_and_what_follows_it(app: Flask) -> None:
    sent = chain(count.s(LONG), count.si(["two"])).delay()
    first = message_of(outgoing(sent.parent.id))
    here: JobRuntime = app.extensions["jobs"]
    with here.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE job SET args = substr(args, 1, 41) WHERE id = ?", (sent.parent.id,))
    job = run(first)
    assert job.state == "FAILURE" and job.error is not None
    assert "the job's args can't be read from its row" in job.error["message"]
    assert service.get(sent.id).state == "FAILURE"
