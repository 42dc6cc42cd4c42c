"""Every guarded move, on every database: what may happen happens once, and nothing else does."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Update, update
from sqlalchemy.exc import IntegrityError

from task_app.jobs import faults, lists, queries, transitions
from task_app.jobs.models import Job
from task_app.jobs.states import State, WaitReason, is_final
from task_app.jobs.submission import Sender
from task_app.jobs.view import JobView

from ..factories import insert_job, job_row

NOW = datetime.now(UTC)
ERROR = faults.fault("ValueError", "builtins", ["no"], "no")


def claim(connection: Connection, job_id: str, attempt: int = 1) -> bool:
    return transitions.claim(connection, job_id, attempt, worker="w@h", worker_id="life-1", now=datetime.now(UTC))


def succeed(connection: Connection, job_id: str, attempt: int = 1) -> bool:
    return transitions.succeed(connection, job_id, attempt, result="3", children=None, now=NOW)


def fail(connection: Connection, job_id: str, attempt: int | None = 1) -> bool:
    return transitions.end_badly(connection, job_id, attempt, state=State.FAILURE, error=ERROR, now=NOW)


def rescue(connection: Connection, job_id: str, attempt: int = 1) -> bool:
    return transitions.rescue(connection, job_id, attempt, error=ERROR, line='{"attempt": 1}\n', wake_at=NOW)


def view(connection: Connection, job_id: str) -> JobView:
    job = queries.get(connection, job_id)
    assert job is not None
    return job


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def test_the_straight_way(connection: Connection) -> None:
    job_id = insert_job(connection)
    assert transitions.mark_published(connection, [(job_id, 1)], NOW)
    assert claim(connection, job_id)
    assert transitions.report(connection, job_id, 1, state="PROGRESS", meta='{"current": 1}')
    assert succeed(connection, job_id)
    job = view(connection, job_id)
    assert (job.state, job.result, job.version) == ("SUCCESS", 3, 5)
    assert job.finished_at == NOW


def test_only_one_of_many_claims_wins(engine: Engine) -> None:
    with engine.connect() as connection:
        job_id = insert_job(connection)
    start, wins = threading.Barrier(8), []

    def try_it() -> None:
        start.wait()
        with engine.connect() as own:
            wins.append(claim(own, job_id))

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wins) == [False] * 7 + [True]


def test_a_claim_before_the_mark_counts_as_published(connection: Connection) -> None:
    job_id = insert_job(connection)
    assert claim(connection, job_id)
    assert not transitions.mark_published(connection, [(job_id, 1)], NOW)
    assert view(connection, job_id).published_at is not None


def test_an_expired_job_is_not_claimed(connection: Connection) -> None:
    job_id = insert_job(connection, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert not claim(connection, job_id)


@pytest.mark.parametrize("late", [succeed, fail, rescue, claim])
def test_an_ended_job_does_not_move(connection: Connection, late: Callable[[Connection, str], bool]) -> None:
    job_id = insert_job(connection)
    claim(connection, job_id)
    assert succeed(connection, job_id)
    before = view(connection, job_id)
    assert not late(connection, job_id)
    assert view(connection, job_id) == before


def test_an_abandoned_attempt_cannot_write(connection: Connection) -> None:
    job_id = insert_job(connection)
    claim(connection, job_id)
    assert rescue(connection, job_id)
    assert not succeed(connection, job_id)
    assert not fail(connection, job_id)
    assert not transitions.report(connection, job_id, 1, state="PROGRESS", meta="{}")
    assert not claim(connection, job_id, 1)
    assert claim(connection, job_id, 2)
    assert succeed(connection, job_id, 2)


def test_a_cancelled_waiting_job_is_never_claimed(connection: Connection) -> None:
    job_id = insert_job(connection)
    assert transitions.cancel_waiting(connection, job_id, error=faults.revoked("cancelled"), now=NOW)
    assert not claim(connection, job_id)
    assert view(connection, job_id).state == "REVOKED"


def test_a_cancelled_running_job_refuses_reports_and_may_still_end(connection: Connection) -> None:
    job_id = insert_job(connection)
    claim(connection, job_id)
    assert transitions.cancel_running(connection, job_id, now=NOW)
    assert not transitions.report(connection, job_id, 1, state="PROGRESS", meta="{}")
    assert succeed(connection, job_id)


def blocked(connection: Connection) -> tuple[str, str]:
    """Make a claimed job and one that waits for it as the next step of its chain."""
    before = insert_job(connection)
    assert transitions.claim(connection, before, 1, worker="w@h", worker_id="life-1", now=NOW)
    return before, insert_job(connection, parent_id=before, blocked_by=WaitReason.CHAIN, dispatch_at=None)


def test_only_the_current_attempt_goes_on_with_its_chain(connection: Connection) -> None:
    before, step = blocked(connection)
    values = job_row(id=step)

    def go_on(attempt: int) -> bool:
        return transitions.unblock(connection, step, values=values, wake_at=NOW, by=Sender(before, attempt))

    assert rescue(connection, before)
    assert not go_on(1) and not go_on(2), "the one is over, the other has not begun"
    assert claim(connection, before, 2)
    assert not go_on(1) and go_on(2)
    assert view(connection, step).blocked_by is None


LATER = NOW + timedelta(seconds=10)
#: What the process that runs an attempt may write, given when it has claimed the job.
WRITES: dict[str, Callable[[Connection, str, datetime], bool]] = {
    "report": lambda c, i, at: transitions.report(c, i, 1, state="PROGRESS", meta="{}", claimed_at=at),
    "succeed": lambda c, i, at: transitions.succeed(c, i, 1, result="3", children=None, claimed_at=at, now=NOW),
    "fail": lambda c, i, at: transitions.end_badly(c, i, 1, state=State.FAILURE, error=ERROR, claimed_at=at, now=NOW),
    "requeue": lambda c, i, at: transitions.requeue(
        c, i, 1, values=job_row(), error=ERROR, line="{}\n", claimed_at=at, wake_at=NOW
    ),
    "block": lambda c, i, at: transitions.block(
        c, i, 1, reason=WaitReason.REPLACEMENT, line="{}\n", claimed_at=at, wake_at=NOW
    ),
    "rescue": lambda c, i, at: transitions.rescue(c, i, 1, error=ERROR, line="{}\n", claimed_at=at, wake_at=NOW),
}


@pytest.mark.parametrize("name", WRITES)
def test_of_two_claims_of_an_attempt_only_the_one_in_the_table_writes(connection: Connection, name: str) -> None:
    job_id = insert_job(connection)
    assert transitions.claim(connection, job_id, 1, worker="first@h", worker_id="life-1", now=NOW)
    _forget_the_claim(connection, job_id)
    assert not WRITES[name](connection, job_id, NOW)
    assert transitions.claim(connection, job_id, 1, worker="second@h", worker_id="life-2", now=LATER)
    assert not WRITES[name](connection, job_id, NOW)
    assert view(connection, job_id).state == State.STARTED
    assert WRITES[name](connection, job_id, LATER)


def test_a_worker_that_lost_its_claim_does_not_end_what_another_runs(connection: Connection) -> None:
    job_id = insert_job(connection)

    def end_by(worker_id: str) -> bool:
        return transitions.end_badly(
            connection, job_id, 1, state=State.FAILURE, error=ERROR, of_worker=worker_id, now=NOW
        )

    assert transitions.claim(connection, job_id, 1, worker="second@h", worker_id="life-2", now=LATER)
    assert not end_by("life-1")
    assert end_by("life-2")
    waits = insert_job(connection)
    assert transitions.end_badly(connection, waits, 1, state=State.REVOKED, error=ERROR, of_worker="life-1", now=NOW), (
        "nobody runs it"
    )


def test_a_chain_goes_on_only_from_the_claim_in_the_table(connection: Connection) -> None:
    before, step = blocked(connection)
    values = job_row(id=step)
    for claimed_at, goes_on in ((LATER, False), (NOW, True)):
        by = Sender(before, 1, claimed_at)
        assert transitions.unblock(connection, step, values=values, wake_at=NOW, by=by) is goes_on


def _forget_the_claim(connection: Connection, job_id: str) -> None:
    """What a crash of PostgreSQL may do within a second of the claim."""
    forgotten = {"state": State.PENDING, "worker": None, "worker_id": None, "started_at": None}
    connection.execute(update(Job).where(Job.__table__.c.id == job_id).values(**forgotten))


def test_what_follows_ends_only_after_what_it_waits_for(connection: Connection) -> None:
    before, step = blocked(connection)
    moves: tuple[Callable[[], bool], ...] = (
        lambda: transitions.end_badly(connection, step, None, state=State.FAILURE, error=ERROR, after=before, now=NOW),
        lambda: transitions.end_blocked(connection, step, state=State.FAILURE, error=ERROR, after=before, now=NOW),
    )
    assert not any(move() for move in moves)
    assert fail(connection, before)
    assert [move() for move in moves] == [True, False]


def test_history_grows_by_lines_and_stays_bounded(connection: Connection) -> None:
    job_id = insert_job(connection)
    for attempt in range(1, 11):
        assert claim(connection, job_id, attempt)
        line = transitions.history_line(
            attempt=attempt,
            state="RETRY",
            worker="w@h",
            started_at=NOW,
            finished_at=NOW,
            error=faults.fault("E", "m", [], "x" * 10_000),
        )
        assert transitions.rescue(connection, job_id, attempt, error=ERROR, line=line, wake_at=NOW)
    attempts = [entry["attempt"] for entry in view(connection, job_id).history]
    assert attempts == list(range(attempts[0], 11))
    assert 1 < len(attempts) < 10


def test_run_again_needs_an_ended_job(connection: Connection) -> None:
    job_id = insert_job(connection)
    again: dict[str, Any] = {"args": "[5]", "kwargs": "{}", "line": '{"attempt": 1}\n', "wake_at": NOW}
    assert not transitions.run_again(connection, job_id, 1, **again)
    claim(connection, job_id)
    fail(connection, job_id)
    assert transitions.run_again(connection, job_id, 1, **again)
    job = view(connection, job_id)
    assert (job.state, job.attempt, job.args, job.error, job.finished_at) == ("PENDING", 2, [5], None, None)
    assert [entry["attempt"] for entry in job.history] == [1]


def test_only_ended_jobs_are_deleted_and_their_tags_with_them(connection: Connection) -> None:
    job_id = insert_job(connection, tags='["red"]')
    assert not transitions.delete_ended(connection, job_id)
    fail(connection, job_id, None)
    assert transitions.delete_ended(connection, job_id)
    assert lists.page(connection, lists.Filter(tag="red"), limit=5).jobs == []


def test_a_taken_id_is_refused(connection: Connection) -> None:
    job_id = insert_job(connection)
    with pytest.raises(IntegrityError):
        insert_job(connection, id=job_id)


def test_ids_differ_by_case(connection: Connection) -> None:
    assert insert_job(connection, id="Job-A") != insert_job(connection, id="job-a")


def test_times_come_back_as_they_went(connection: Connection) -> None:
    moment = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    job_id = insert_job(connection, due_at=moment)
    assert view(connection, job_id).due_at == moment


def test_the_database_clock_is_now(connection: Connection) -> None:
    assert abs(queries.database_time(connection) - datetime.now(UTC)) < timedelta(seconds=5)


# -- any order of events -----------------------------------------------------------------------------------------

EVENTS: dict[str, Callable[[Connection, str, int], bool]] = {
    "publish": lambda c, i, a: transitions.mark_published(c, [(i, a)], NOW) == 1,
    "claim": claim,
    "report": lambda c, i, a: transitions.report(c, i, a, state="PROGRESS", meta="{}"),
    "succeed": succeed,
    "fail": fail,
    "rescue": rescue,
    "cancel": lambda c, i, a: transitions.cancel_waiting(c, i, error=ERROR, now=NOW),
    "ask": lambda c, i, a: transitions.cancel_running(c, i, now=NOW),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(1, 3)), max_size=14))
def test_whatever_the_order_one_outcome_is_recorded(engine: Engine, events: list[tuple[str, int]]) -> None:
    """Events come late, twice or never; an attempt's number only grows, and an outcome never changes."""
    with engine.connect() as connection:
        job_id = insert_job(connection)
        outcomes, attempt = [], 1
        for name, of_attempt in events:
            moved = EVENTS[name](connection, job_id, of_attempt)
            job = view(connection, job_id)
            assert job.attempt >= attempt
            if moved and name not in ("cancel", "ask"):
                assert of_attempt == attempt
            attempt = job.attempt
            if is_final(job.state):
                outcomes.append((job.state, job.result, job.finished_at))
            assert (job.finished_at is not None) == is_final(job.state)
        assert len(set(outcomes)) <= 1


@pytest.mark.parametrize("name", [name for name, value in vars(transitions).items() if isinstance(value, Update)])
def test_a_move_is_compiled_once(name: str) -> None:
    move: Update = vars(transitions)[name]
    assert move._generate_cache_key() is not None
