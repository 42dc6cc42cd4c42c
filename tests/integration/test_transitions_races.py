"""Moves that exclude each other, made at the same moment on every database: one legal outcome each time."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, select

from task_app.jobs import faults, transitions
from task_app.jobs.models import Job
from task_app.jobs.states import State, is_final

from ..factories import insert_job, job_row
from ..reference import is_held

ROUNDS = 12
NOW = datetime.now(UTC)
ERROR = faults.fault("ValueError", "builtins", [], "no")
REWRITTEN = {name: job_row().get(name) for name in transitions.REWRITABLE}

Move = Callable[[Connection, str], bool]
Answers = tuple[bool, ...]


def claim(connection: Connection, job_id: str) -> bool:
    return transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life-1", now=NOW)


def mark_published(connection: Connection, job_id: str) -> bool:
    return transitions.mark_published(connection, [(job_id, 1)], NOW) == 1


def publish_again(connection: Connection, job_id: str) -> bool:
    return transitions.publish_again(connection, job_id, 1, NOW)


def succeed(connection: Connection, job_id: str) -> bool:
    return transitions.succeed(connection, job_id, 1, result="3", children=None, now=NOW)


def fail(connection: Connection, job_id: str) -> bool:
    return transitions.end_badly(connection, job_id, 1, state=State.FAILURE, error=ERROR, now=NOW)


def revoke(connection: Connection, job_id: str) -> bool:
    return transitions.end_badly(connection, job_id, 1, state=State.REVOKED, error=ERROR, now=NOW)


def rescue(connection: Connection, job_id: str) -> bool:
    return transitions.rescue(connection, job_id, 1, error=ERROR, line='{"attempt": 1}\n', wake_at=NOW)


def requeue(connection: Connection, job_id: str) -> bool:
    line = '{"attempt": 1}\n'
    return transitions.requeue(connection, job_id, 1, values=REWRITTEN, error=ERROR, line=line, wake_at=NOW)


def block(connection: Connection, job_id: str) -> bool:
    line = '{"attempt": 1}\n'
    return transitions.block(connection, job_id, 1, reason="replacement", line=line, wake_at=NOW)


def unblock(connection: Connection, job_id: str) -> bool:
    return transitions.unblock(connection, job_id, values=REWRITTEN, wake_at=NOW)


def run_again(connection: Connection, job_id: str) -> bool:
    line = '{"attempt": 1}\n'
    return transitions.run_again(connection, job_id, 1, args="[]", kwargs="{}", line=line, wake_at=NOW)


def cancel_waiting(connection: Connection, job_id: str) -> bool:
    return transitions.cancel_waiting(connection, job_id, error=ERROR, now=NOW)


def cancel_running(connection: Connection, job_id: str) -> bool:
    return transitions.cancel_running(connection, job_id, now=NOW)


def delete_ended(connection: Connection, job_id: str) -> bool:
    return transitions.delete_ended(connection, job_id)


@dataclass(frozen=True)
class Race:
    """Contestants, each a sequence of moves, and the state that each legal set of answers must leave."""

    contestants: Sequence[Sequence[Move]]
    legal: Mapping[Answers, str | None]
    start: Sequence[Move] = ()  # how a new job comes to where the race begins
    new_job: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name the race in pytest's output."""
        return " × ".join("+".join(move.__name__ for move in moves) for moves in self.contestants)


def duel(one: Move, other: Move, *, leaves: tuple[str | None, str | None], **more: Any) -> Race:
    """Whoever comes first wins, and the other is refused."""
    return Race([[one], [other]], {(True, False): leaves[0], (False, True): leaves[1]}, **more)


def scramble(move: Move, *, leaves: str, **more: Any) -> Race:
    """One of four wins."""
    one_of_four = {tuple(winner == number for number in range(4)): leaves for winner in range(4)}
    return Race([[move]] * 4, one_of_four, **more)


RACES = [
    scramble(claim, leaves="STARTED"),
    scramble(succeed, leaves="SUCCESS", start=[claim]),
    scramble(rescue, leaves="RETRY", start=[claim]),
    scramble(run_again, leaves="PENDING", start=[claim, fail]),
    scramble(cancel_running, leaves="STARTED", start=[claim]),
    duel(claim, cancel_waiting, leaves=("STARTED", "REVOKED")),
    duel(succeed, fail, leaves=("SUCCESS", "FAILURE"), start=[claim]),
    duel(succeed, rescue, leaves=("SUCCESS", "RETRY"), start=[claim]),
    duel(fail, rescue, leaves=("FAILURE", "RETRY"), start=[claim]),
    duel(requeue, rescue, leaves=("RETRY", "RETRY"), start=[claim]),
    duel(requeue, cancel_running, leaves=("RETRY", "STARTED"), start=[claim]),
    duel(block, rescue, leaves=("PENDING", "RETRY"), start=[claim]),
    duel(rescue, cancel_running, leaves=("RETRY", "STARTED"), start=[claim]),
    duel(block, cancel_running, leaves=("PENDING", "STARTED"), start=[claim]),
    duel(run_again, delete_ended, leaves=("PENDING", None), start=[claim, succeed]),
    Race(  # A result that is there before the worker is told stays.
        [[succeed], [cancel_running, revoke]],
        {(True, True, False): "SUCCESS", (True, False, False): "SUCCESS", (False, True, True): "REVOKED"},
        start=[claim],
    ),
    Race(  # The message was faster than the mark.
        [[claim], [mark_published]],
        {(True, True): "STARTED", (True, False): "STARTED"},
    ),
    Race(  # It was not lost.
        [[claim], [publish_again]],
        {(True, True): "STARTED", (True, False): "STARTED"},
        start=[mark_published],
    ),
    Race(  # What a job waits for comes when nobody wants the job any more.
        [[unblock], [cancel_waiting]],
        {(True, True): "REVOKED", (False, True): "REVOKED"},
        new_job={"blocked_by": "an earlier step", "dispatch_at": None},
    ),
]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def prepare(connection: Connection, race: Race) -> str:
    job_id = insert_job(connection, **race.new_job)
    assert all(move(connection, job_id) for move in race.start)
    return job_id


def run(race: Race, engine: Engine, threads: ThreadPoolExecutor, job_id: str) -> Answers:
    """Let the contestants go at the same moment; whatever a database raises comes out here."""
    go = threading.Barrier(len(race.contestants), timeout=30)

    def contest(moves: Sequence[Move]) -> list[bool]:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")  # the connection stands before the race begins
            go.wait()
            return [move(connection, job_id) for move in moves]

    running = [threads.submit(contest, moves) for moves in race.contestants]
    return tuple(answer for future in running for answer in future.result())


@pytest.mark.parametrize("race", RACES, ids=str)
def test_one_legal_outcome(engine: Engine, threads: ThreadPoolExecutor, race: Race) -> None:
    with engine.connect() as connection:
        for _ in range(ROUNDS):
            job_id = prepare(connection, race)
            answers = run(race, engine, threads, job_id)
            assert answers in race.legal
            row = connection.execute(select(Job.__table__).where(Job.__table__.c.id == job_id)).mappings().one_or_none()
            assert (row and row["state"]) == race.legal[answers]
            if row is not None:
                assert row["version"] == 1 + len(race.start) + sum(answers)
                assert is_final(row["state"]) == (row["finished_at"] is not None)
                assert is_held(dict(row))
                assert (row["history"] or "").count("\n") <= 1
