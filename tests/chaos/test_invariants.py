"""Every invariant can fail: a check that can't is worth nothing. And the schedule is what the seed says."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from . import invariants, ledger
from .book import Answer, Cancel, Told
from .facts import LOST, Attempt, Facts, Row
from .invariants import check
from .ledger import RAISED, RETURNED, Execution
from .schedule import draw
from .workload import Wanted, orders


def wanted(job_id: str = "a", **more: Any) -> Wanted:
    return Wanted(**{"id": job_id, "kind": "short", "task": "chaos.echo", "value": 7, **more})


def row(job_id: str = "a", **more: Any) -> Row:
    state = more.get("state", "SUCCESS")
    attempt = more.get("attempt", 1)
    standard = {
        "task": "chaos.echo",
        "state": state,
        "attempt": attempt,
        "attempts": (Attempt(attempt, state, 2.0),),
        "result": 7,
    }
    return Row(**{"id": job_id, **standard, **more})


def ran(
    job_id: str = "a", attempt: int = 1, began: float = 1, ended: float | None = 2, how: str = RETURNED
) -> Execution:
    return Execution(job_id, attempt, 100, began, ended, None if ended is None else how)


def facts(*rows: Row, told: tuple[Told, ...] | None = None, runs: tuple[Execution, ...] = (), **more: Any) -> Facts:
    by_job: dict[str, list[Execution]] = {}
    for one in runs:
        by_job.setdefault(one.job, []).append(one)
    told = tuple(Told(wanted(one.id), accepted=True) for one in rows) if told is None else told
    return Facts(rows={one.id: one for one in rows}, ledger=by_job, told={one.wanted.id: one for one in told}, **more)


GOOD = facts(row(), runs=(ran(),))


def told(answer: Answer | None = None, *, at: float = 5, attempt: int = 1, **more: Any) -> Told:
    cancels = [Cancel(answer, at, attempt)] if answer else []
    return Told(wanted(**more), accepted=True, cancels=cancels)


def lost_then(state: str) -> Row:
    return row(state=state, attempt=2, attempts=(Attempt(1, LOST, 3.0), Attempt(2, state, 9.0)))


def chain(first: str, second: str, *runs: Execution, **more: Any) -> Facts:
    steps = (wanted("a"), wanted("b", after="a"))
    return facts(
        row("a", state=first),
        row("b", state=second, **more),
        told=tuple(Told(step, accepted=True) for step in steps),
        runs=runs,
    )


def chord(part: str, body: str, *runs: Execution, **more: Any) -> Facts:
    jobs = (wanted("a"), wanted("b", parts=("a",)))
    return facts(
        row("a", state=part),
        row("b", state=body, **more),
        told=tuple(Told(job, accepted=True) for job in jobs),
        runs=runs,
    )


#: Each breaks the invariant it is named for; others may be broken with it.
BROKEN: dict[str, list[Facts]] = {
    "accepted_jobs_exist": [facts(told=(told(),))],
    "every_job_has_ended": [facts(row(state="PENDING", finished=False)), facts(row(state="SUCCESS", finished=False))],
    "nobody_made_jobs_up": [facts(row(), told=(), runs=(ran(),))],
    "every_attempt_has_one_outcome": [
        facts(row(attempt=2, attempts=(Attempt(2, "SUCCESS"),)), runs=(ran(attempt=2),)),
        facts(row(attempts=(Attempt(1, "RETRY"), Attempt(1, "SUCCESS"))), runs=(ran(),)),
        facts(row(attempt=2, attempts=(Attempt(2, "SUCCESS"), Attempt(1, "RETRY")))),
    ],
    "an_attempt_runs_once": [
        facts(row(), runs=(ran(), ran(began=5, ended=6))),
        facts(row(), runs=(ran(), ran(began=15, ended=16)), crashes=(12,)),
    ],
    "outcomes_are_earned": [
        facts(row()),
        facts(row(), runs=(ran(ended=None),)),
        facts(row(), runs=(ran(how=RAISED),)),
        facts(row(task="chaos.fail", state="FAILURE", error_type="Refused"), runs=(ran(),)),
    ],
    "what_ran_is_on_record": [facts(row(), runs=(ran(), ran(attempt=2))), facts(runs=(ran(),))],
    "attempts_never_both_count": [
        facts(
            row(attempt=2, attempts=(Attempt(1, "SUCCESS"), Attempt(2, "SUCCESS"))),
            runs=(ran(began=1, ended=3), ran(attempt=2, began=2, ended=4)),
        )
    ],
    "fenced_writes_are_refused": [
        facts(row(attempts=(Attempt(1, LOST), Attempt(1, "SUCCESS"))), runs=(ran(),)),
        facts(row(attempts=(Attempt(1, LOST),)), runs=(ran(),)),
    ],
    "results_are_right": [
        facts(row(result=8), runs=(ran(),)),
        facts(row(), told=(told(value=None),), runs=(ran(),)),
    ],
    "failures_have_a_cause": [
        facts(row(state="FAILURE", error_type="OperationalError")),
        facts(row(state="FAILURE", error_type="WorkerLostError")),
        facts(row(state="FAILURE", error_type="Refused"), told=(told(),)),
    ],
    "cancels_have_a_cause": [
        facts(row(state="REVOKED")),
        facts(row(state="REVOKED"), told=(told(Answer.ENDED),)),
    ],
    "cancelled_is_cancelled": [
        facts(row(), told=(told(Answer.REVOKED),), runs=(ran(),)),
        facts(row(state="REVOKED"), told=(told(Answer.REVOKED, at=0.5),), runs=(ran(),)),
        facts(lost_then("REVOKED"), told=(told(Answer.ASKED, attempt=1),), runs=(ran(),)),
    ],
    "retries_are_done": [facts(row(), told=(Told(wanted(), accepted=True, retries=[True]),), runs=(ran(),))],
    "priorities_stay": [facts(row(priority=4), runs=(ran(),))],
    "chains_go_on": [
        chain("SUCCESS", "FAILURE", ran("a")),
        chain("FAILURE", "SUCCESS", ran("b")),
    ],
    "chords_are_joined": [
        chord("SUCCESS", "FAILURE", ran("a")),
        chord("FAILURE", "SUCCESS", ran("b")),
    ],
    "families_are_complete": [
        facts(row("b"), told=(Told(wanted("a")), Told(wanted("b", after="a"))), runs=(ran("b"),))
    ],
    "nothing_else_went_wrong": [replace(GOOD, surprises=("POST /tasks: 500",))],
}

FINE: dict[str, Facts] = {
    "one run": GOOD,
    "a claim that a crash made the database forget": facts(
        row(), runs=(ran(ended=4), ran(began=3.5, ended=8)), crashes=(1.5,)
    ),
    "an unanswered submit that was never stored": facts(told=(Told(wanted()),)),
    "a lost attempt and its late write": facts(
        lost_then("SUCCESS"), runs=(ran(ended=4), ran(attempt=2, began=3.5, ended=8))
    ),
    "cancelled while it waited": facts(row(state="REVOKED"), told=(told(Answer.REVOKED),)),
    "cancelled while it ran, too late": facts(row(), told=(told(Answer.ASKED),), runs=(ran(),)),
    "given up after too many lost attempts": facts(
        row(
            state="FAILURE",
            attempt=4,
            error_type="WorkerLostError",
            attempts=(*(Attempt(n, LOST) for n in (1, 2, 3)), Attempt(4, "FAILURE")),
        )
    ),
    "a chain that ends where it fails": chain("FAILURE", "FAILURE", error_type="Refused"),
    "a chain": chain("SUCCESS", "SUCCESS", ran("a"), ran("b")),
    "a chord": chord("SUCCESS", "SUCCESS", ran("a"), ran("b")),
}


@pytest.mark.parametrize("invariant", invariants.INVARIANTS, ids=lambda invariant: invariant.__name__)
def test_every_invariant_can_fail(invariant: Callable[[Facts], Any]) -> None:
    for broken in BROKEN[invariant.__name__]:
        assert invariant.__name__ in {violation.invariant for violation in check(broken)}
        assert not list(invariant(GOOD))


@pytest.mark.parametrize("name", FINE)
def test_what_is_allowed_is_no_violation(name: str) -> None:
    if name == "a chain that ends where it fails":
        first = replace(FINE[name].rows["a"], error_type="Refused", task="chaos.fail")
        found = replace(
            FINE[name],
            rows={**FINE[name].rows, "a": first},
            told={**FINE[name].told, "a": Told(wanted("a", value=None), accepted=True)},
            ledger={"a": [ran("a", how=RAISED)]},
        )
        assert check(found) == []
    else:
        assert check(FINE[name]) == []


def test_late_writes_are_counted() -> None:
    assert invariants.late_writes(FINE["a lost attempt and its late write"]) == 1
    assert invariants.late_writes(GOOD) == 0


def test_the_ledger_tells_who_ended_and_who_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ledger"
    monkeypatch.setenv(ledger.VARIABLE, str(file))
    with ledger.executing("a", 1):
        pass
    with ledger.executing("a", 2, retries=True):
        pass
    with pytest.raises(ZeroDivisionError), ledger.executing("b", 1):
        raise ZeroDivisionError
    file.write_text(file.read_text() + '{"job": "c", "attempt": 1, "event": "begin", "pid": 1, "wall": 1.5}\n')
    found = ledger.read(file)
    assert [(one.attempt, one.how) for one in found["a"]] == [(1, RETURNED), (2, ledger.ASKED_FOR_RETRY)]
    assert [(one.how, one.pid) for one in found["b"]] == [(RAISED, os.getpid())]
    assert found["c"] == [Execution("c", 1, 1, 1.5)]


def test_a_seed_replays_its_workload_and_its_schedule() -> None:
    assert orders(7, 500) == orders(7, 500) != orders(8, 500)
    assert draw(7, 500) == draw(7, 500) != draw(8, 500)
    assert sum(len(order.jobs) for order in orders(7, 500)) >= 500
