"""Why a job is not running: every cause, on every database, and what it costs to find out."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Connection, Engine, delete, event, insert, update

from task_app.jobs import groups, queries, queue_control, reasons, transitions, workers
from task_app.jobs.models import Job, PausedQueue, Worker
from task_app.jobs.reasons import Cause, Explanation, on_broker
from task_app.jobs.states import State, WaitReason
from task_app.jobs.view import timestamp
from task_app.jobs.wording import Ref
from task_app.jobs.workers import Beat, Watch, WorkerCard

from ..factories import insert_job

SECOND = timedelta(seconds=1)
WATCH = Watch(
    interval=2 * SECOND, timeout=30 * SECOND, patience=10 * SECOND, lost_after=10 * SECOND, cancel_grace=5 * SECOND
)
#: Statements for one answer: it is asked for with every look at a job's page.
DEAREST = 8


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def worker(
    connection: Connection,
    name: str = "w1",
    *,
    queues: tuple[str, ...] = ("celery",),
    silent: float = 0,
    stopped: bool = False,
    pool: str = "prefork",
    started: float = 3600,
    **said: Any,
) -> None:
    """Make the row of a worker with two processes; its id is its name."""
    card = WorkerCard(
        id=name, name=f"{name}@host", host="host", pid=1, version="1", pool=pool, concurrency=2, queues=queues
    )
    workers.register(connection, card)
    workers.beat(connection, name, Beat(**said))
    now = datetime.now(UTC)
    values = {"heartbeat_at": now - silent * SECOND, "started_at": now - started * SECOND}
    connection.execute(update(Worker).where(Worker.id == name).values(values))
    if stopped:
        workers.say_goodbye(connection, name)


def published(connection: Connection, ago: float = 1, **values: Any) -> str:
    """Insert a job that the broker has had for so many seconds."""
    at = datetime.now(UTC) - ago * SECOND
    return insert_job(connection, dispatch_at=None, published_at=at, created_at=at, **values)


def why(connection: Connection, job_id: str, **more: Any) -> Explanation:
    """Explain a job, with few statements, none of them writing."""
    job = queries.get(connection, job_id)
    assert job is not None
    statements: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    now = datetime.now(UTC)
    found = reasons.explain(connection, job, now, watch=WATCH, **more) or reasons.explain_running(
        connection, job, now, watch=WATCH
    )
    event.remove(connection, "before_cursor_execute", note)
    assert found is not None
    assert len(statements) <= DEAREST and all(statement.startswith("SELECT") for statement in statements)
    assert found.text.endswith(".") and ".." not in found.text
    assert found.reason == job.waiting_for(now)
    return found


def refs(found: Explanation) -> set[Ref]:
    return {piece for sentence in found.sentences for piece in sentence if isinstance(piece, Ref)}


# -- in the table ------------------------------------------------------------------------------------------------


def test_due_later(connection: Connection) -> None:
    due_at = datetime.now(UTC) + timedelta(hours=3, minutes=1)
    found = why(connection, insert_job(connection, due_at=due_at, dispatch_at=due_at))
    assert (found.cause, found.reason, found.safe) == (Cause.DUE_TIME, WaitReason.DUE_TIME, True)
    assert f"It is due at {due_at:%H:%M:%S} UTC (in 3 h)." in found.text and "kept safe" in found.text
    assert due_at in found.sentences[0] and found.facts["due_at"] == due_at


def test_the_next_try_says_why_the_last_one_failed(connection: Connection) -> None:
    due_at = datetime.now(UTC) + timedelta(days=2, hours=1)
    line = {"attempt": 1, "state": "RETRY", "error": {"type": "ValueError", "message": "no\nmore"}}
    waiting = {"state": State.RETRY, "attempt": 2, "dispatch_at": due_at, "due_at": due_at}
    found = why(connection, insert_job(connection, **waiting, history=json.dumps(line) + "\n"))
    assert found.cause is Cause.NEXT_TRY
    assert "Attempt 1 failed (ValueError: no); the next one is due at" in found.text and "(in 2 d)" in found.text
    assert found.facts["failed"]["type"] == "ValueError"


def test_a_lost_attempt_is_called_lost(connection: Connection) -> None:
    worker(connection)
    line = {"attempt": 1, "state": "LOST", "error": {"type": "WorkerLostError", "message": "worker w is gone"}}
    found = why(connection, insert_job(connection, state=State.RETRY, attempt=2, history=json.dumps(line) + "\n"))
    assert found.cause is Cause.DISPATCH and "Attempt 1 was lost: worker w is gone." in found.text


def test_the_broker_is_away(connection: Connection) -> None:
    worker(connection)
    next_try = datetime.now(UTC) + 8 * SECOND
    job_id = insert_job(connection, publish_error="no route\nto host", dispatch_at=next_try)
    found = why(connection, job_id)
    assert (found.cause, found.safe, found.facts["next_try_at"]) == (Cause.BROKER, True, next_try)
    assert "no route." in found.text and "kept safe in the table" in found.text and "The next try is at" in found.text
    connection.execute(delete(Worker))
    assert "nobody will: no worker lives" in why(connection, job_id).text


def test_about_to_be_published(connection: Connection) -> None:
    worker(connection, "alone", queues=())
    now = datetime.now(UTC)
    for number in range(3):
        insert_job(connection, dispatch_at=now - (9 - number) * SECOND)
    insert_job(connection, priority=9, dispatch_at=now)
    found = why(connection, insert_job(connection, dispatch_at=now - SECOND))
    assert (found.cause, found.facts["ahead"], found.facts["ahead_at_least"]) == (Cause.DISPATCH, 4, False)
    assert 'No live worker listens to queue "celery".' in found.text
    soon = why(connection, insert_job(connection, dispatch_at=now + 60 * SECOND))
    assert soon.cause is Cause.DISPATCH and now + 60 * SECOND in soon.sentences[0]


def test_nobody_dispatches(connection: Connection) -> None:
    worker(connection, stopped=True)
    worker(connection, "w2", silent=100)
    found = why(connection, insert_job(connection))
    assert (found.cause, found.safe) == (Cause.NOBODY_DISPATCHES, True)
    assert "no worker lives" in found.text


# -- for other jobs ----------------------------------------------------------------------------------------------


def test_a_step_names_the_one_before(connection: Connection) -> None:
    first = published(connection, task="fetch")
    second = insert_job(connection, task="sort", parent_id=first, blocked_by=WaitReason.CHAIN, dispatch_at=None)
    third = insert_job(connection, parent_id=second, blocked_by=WaitReason.CHAIN, dispatch_at=None)
    found = why(connection, second)
    assert (found.cause, found.safe) == (Cause.CHAIN, True)
    assert (found.facts["step"], found.facts["step_task"], found.facts["step_state"]) == (first, "fetch", "PENDING")
    assert Ref("job", first) in refs(found) and "waits itself: worker" in found.text
    assert "waits itself: an earlier step" in why(connection, third).text
    connection.execute(update(Job).where(Job.id == first).values(state="FAILURE", finished_at=datetime.now(UTC)))
    assert "which is FAILURE: it is ended as well" in why(connection, second).text
    connection.execute(delete(Job).where(Job.id == first))
    assert "is gone" in why(connection, second).text


def test_a_body_counts_the_parts(connection: Connection) -> None:
    now = datetime.now(UTC)
    for number in range(4):
        ended = {"state": State.SUCCESS, "finished_at": now} if number < 3 else {}
        insert_job(connection, group_id="header", task=f"part.{number}", **ended)
    message = '{"header": "header", "awaits": "the parts of its chord"}'
    body = insert_job(connection, blocked_by=WaitReason.CHORD, dispatch_at=None, message=message)
    assert "are being sent" in why(connection, body).text
    groups.save(connection, "header", size=8, unjoined=True, now=now)
    found = why(connection, body)
    assert found.cause is Cause.CHORD and "3 of 8 have ended" in found.text
    assert (found.facts["parts"], found.facts["ended"], found.facts["group"]) == (8, 3, "header")
    assert [part["task"] for part in found.facts["unfinished"]] == ["part.3"]


def test_a_replaced_task_names_what_took_its_place(connection: Connection) -> None:
    job_id = insert_job(connection, blocked_by=WaitReason.REPLACEMENT, dispatch_at=None)
    other = insert_job(connection, parent_id=job_id, task="other")
    found = why(connection, job_id)
    assert found.cause is Cause.REPLACEMENT and refs(found) == {Ref("job", other)}
    assert found.facts["unfinished"] == [{"id": other, "task": "other", "state": "PENDING"}]


# -- on the broker -----------------------------------------------------------------------------------------------


def test_nobody_listens(connection: Connection) -> None:
    job_id = published(connection, queue="Reports")
    assert why(connection, job_id).text == 'No live worker listens to queue "Reports". No worker lives at all.'
    worker(connection, "w1", queues=("celery", "mail"))
    worker(connection, "w2", queues=("Reports",), silent=180)
    found = why(connection, job_id)
    assert found.cause is Cause.NOBODY_LISTENS and not found.safe
    assert found.facts["queues_with_listeners"] == ["celery", "mail"] and "near" not in found.facts
    assert "Workers listen to celery, mail." in found.text
    assert found.facts["lost_worker"] == "w2@host" and "Worker w2@host did, and has been silent for 3 min" in found.text
    worker(connection, "w3", queues=("report",))
    assert why(connection, job_id).facts["near"] == "report"


def test_a_paused_queue(connection: Connection) -> None:
    worker(connection)
    job_id = published(connection)
    paused_at = datetime.now(UTC) - 60 * SECOND
    connection.execute(insert(PausedQueue).values(name="celery", paused_at=paused_at, paused_by="admin"))
    found = why(connection, job_id)
    assert (found.cause, found.facts["paused_by"], found.facts["paused_at"]) == (Cause.PAUSED, "admin", paused_at)
    assert 'Queue "celery" has been paused since' in found.text and "by admin" in found.text
    later = datetime.now(UTC) + 60 * SECOND
    assert "has been paused since" in why(connection, insert_job(connection, due_at=later, dispatch_at=later)).text
    queue_control.resume(connection, "celery")
    assert why(connection, job_id).cause != Cause.PAUSED


def test_busy_workers(connection: Connection) -> None:
    worker(connection, "w1", running=("a", "b"))
    worker(connection, "w2", running=("c", "d"), prefetched=("e",))
    worker(connection, "w3", queues=("other",))
    for age, priority in ((50, 5), (40, 4), (30, 9), (1, 9), (1, 5)):
        published(connection, age, priority=priority)
    published(connection, 60, queue="other")
    found = why(connection, published(connection, 20))
    assert found.cause is Cause.BUSY
    assert (found.facts["slots"], found.facts["busy"], found.facts["ahead"]) == (4, 4, 3)
    assert {listener["worker"] for listener in found.facts["listeners"]} == {"w1@host", "w2@host"}
    assert 'All 4 processes that serve queue "celery" are busy. Before it in line: 3 jobs.' in found.text


def test_the_place_in_line_is_bounded(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_broker, "LOOK", 3)
    worker(connection, running=("a", "b"))
    for age in range(5):
        published(connection, 30 + age)
    found = why(connection, published(connection))
    assert (found.facts["ahead"], found.facts["ahead_at_least"]) == (3, True)
    assert "at least 3 jobs" in found.text


def test_taken_and_waiting_for_a_free_process(connection: Connection) -> None:
    job_id = published(connection)
    worker(connection, running=("a", "b"), prefetched=(job_id,))
    found = why(connection, job_id, rate_limit="10/m")
    assert (found.cause, found.facts["worker"]) == (Cause.PREFETCHED, "w1@host")
    assert "starts it when one of its 2 processes is free" in found.text


def test_held_back_by_a_rate_limit(connection: Connection) -> None:
    job_id = published(connection)
    worker(connection, prefetched=(job_id,))
    assert why(connection, job_id).cause is Cause.PREFETCHED
    found = why(connection, job_id, rate_limit="10/m")
    assert found.cause is Cause.RATE_LIMIT and "10/m" in found.text


def test_taken_by_a_silent_worker(connection: Connection) -> None:
    job_id = published(connection)
    worker(connection, silent=12, prefetched=(job_id,))
    found = why(connection, job_id)
    assert found.cause is Cause.DOUBTFUL and "has been silent for 12" in found.text and "30.0 s" in found.text


def test_doubtful_listeners(connection: Connection) -> None:
    job_id = published(connection, 60)
    worker(connection, "w1", silent=12)
    found = why(connection, job_id)
    assert (found.cause, found.facts["listeners"][0]["state"]) == (Cause.DOUBTFUL, "unknown")
    worker(connection, "w2")  # has room, and has taken nothing while a message is old
    text = why(connection, job_id).text
    assert "w2@host" in text and "takes nothing although it has room" in text


def test_on_its_way(connection: Connection) -> None:
    worker(connection, took_messages=True, running=("a",))
    found = why(connection, published(connection))
    assert found.cause is Cause.ON_ITS_WAY and "worker w1@host has room" in found.text and "lost" not in found.text
    assert "sent again" in why(connection, published(connection, 60)).text


def test_what_expires_says_so(connection: Connection) -> None:
    now = datetime.now(UTC)
    soon = why(connection, published(connection, expires_at=now + 20 * SECOND))
    assert now + 20 * SECOND in soon.sentences[-1] and "revoked if no worker has started it" in soon.text
    assert "It has expired" in why(connection, published(connection, expires_at=now - SECOND)).text


# -- running -----------------------------------------------------------------------------------------------------


def running(connection: Connection, cancelled: bool = False) -> str:
    job_id = insert_job(connection)
    transitions.claim(connection, job_id, 1, worker="w1@host", worker_id="w1", now=datetime.now(UTC))
    if cancelled:
        transitions.cancel_running(connection, job_id, now=datetime.now(UTC))
    return job_id


@pytest.mark.parametrize(
    ("life", "cause", "says"),
    [
        ({}, Cause.RUNS, "Worker w1@host runs it"),
        ({"silent": 12}, Cause.SILENT, "silent for 12"),
        ({"silent": 40}, Cause.GONE, "as soon as a worker lives"),
        ({"stopped": True}, Cause.GONE, "has stopped"),
        (None, Cause.SILENT, "Nothing is known of its worker"),
    ],
)
def test_a_run_is_as_well_as_its_worker(
    connection: Connection, life: dict[str, Any] | None, cause: Cause, says: str
) -> None:
    if life is not None:
        worker(connection, **life)
    found = why(connection, running(connection))
    assert (found.reason, found.cause) == (None, cause) and says in found.text
    asked = why(connection, running(connection, cancelled=True))
    assert asked.cause is (Cause.CANCEL if cause is Cause.RUNS else cause) and "asked at" in asked.text
    assert asked.facts["cancel_requested_at"] is not None


def test_a_pool_that_cannot_terminate_says_so(connection: Connection) -> None:
    worker(connection, pool="thread")
    assert "can't end it from outside" in why(connection, running(connection, cancelled=True)).text


def test_an_ended_job_needs_no_reason(connection: Connection) -> None:
    job_id = insert_job(connection, state=State.SUCCESS)
    job = queries.get(connection, job_id)
    assert job is not None
    assert reasons.explain(connection, job, datetime.now(UTC), watch=WATCH) is None
    assert reasons.explain_running(connection, job, datetime.now(UTC), watch=WATCH) is None


# -- at the door -------------------------------------------------------------------------------------------------


def test_the_api_says_it_in_text_and_in_pieces(client: FlaskClient) -> None:
    due = (datetime.now(UTC) + 60 * SECOND).replace(microsecond=0)
    task_id = client.post("/tasks", json={"task": "add", "args": [1, 2], "eta": due.isoformat()}).get_json()["task_id"]
    shown = client.get(f"/tasks/{task_id}/reason").get_json()
    assert (shown["cause"], shown["waiting_for"], shown["safe"]) == ("due time", "due time", True)
    assert shown["sentences"][0] == [{"text": "It is due at "}, {"moment": timestamp(due)}]
    assert shown["facts"]["due_at"] == timestamp(due)
    task_id = client.post("/tasks", json={"task": "add", "args": [1, 2]}).get_json()["task_id"]
    shown = client.get(f"/tasks/{task_id}/reason").get_json()
    assert (shown["cause"], shown["waiting_for"]) == ("broker", "broker")
    client.post(f"/tasks/{task_id}/cancel")
    shown = client.get(f"/tasks/{task_id}/reason").get_json()
    assert (shown["cause"], shown["text"], shown["facts"]) == (None, None, {})
    assert client.get("/tasks/nobody/reason").status_code == 404
