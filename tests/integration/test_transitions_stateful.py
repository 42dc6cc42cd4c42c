"""Jobs under fire: events doubled, late, out of order or lost, on every database, against a plain model.

Hypothesis plays clients, dispatchers, workers and rescuers at once. After each event the answer and every column of
every row must be what `tests.reference` says. The laws of the design are checked besides, without asking the model:
a model can be wrong too.

The usual run is the same every time and on every database. `STATEFUL_EXAMPLES=5000 pytest --timeout 3600 …` looks for
something new; what fails is printed as a program, and as a blob for `@reproduce_failure`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, delete, select

from task_app.jobs import faults, groups, transitions
from task_app.jobs.models import Job, JobGroup
from task_app.jobs.states import State, is_final

from ..factories import insert_job, job_row
from ..reference import Reference, Row, Rows, has_ended, history_of, is_held, waits

EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "0"))
#: With fewer, not every move is both accepted and refused.
ENOUGH = 130
#: On servers, which are slower; what is common to all databases has been tried on SQLite.
FEWER = 50
SETTINGS = settings(
    max_examples=EXAMPLES or ENOUGH,
    stateful_step_count=50,
    deadline=None,
    derandomize=not EXAMPLES,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CHORD = "chord"

#: Only these moves make the next attempt.
NEXT_ATTEMPT = {"requeue", "block", "rescue", "run_again"}
#: The one change that is no news to anybody.
SILENT = {"lease_for_dispatch"}
#: An ended job is touched by nothing else.
AFTER_THE_END = {"run_again", "forget", "delete_ended", "resolve", "unresolve"}
#: What ends a job; each attempt may have one of them.
OUTCOMES = {"succeed", "end_badly", "cancel_waiting", "expire", "end_blocked"}
#: Every move must have been accepted and refused in a run, else the run proves nothing about it.
MOVES = {name for name in vars(Reference) if not name.startswith("_") and hasattr(transitions, name)} - {"insert_jobs"}

#: What usually happens to a job that waits, runs or has ended: there is a way back from each, so examples go far.
WAITING_EVENTS = [
    *("mark_publish_failed", "lease_for_dispatch", "mark_published", "mark_published", "mark_published"),
    *("publish_again", "publish_again", "clear_alarm", "unblock", "unblock", "cancel", "give_back_lease"),
    *("end_whatever_runs", "claim_as_it_expires", "expire", "end_blocked", *["claim"] * 10),
]
RUNNING_EVENTS = [
    *("report", "succeed", "succeed", "end_badly", "cancel", "rescue", "rescue_uncounted", "claim"),
    *("requeue", "requeue", "block") * 2,
]
ENDED_EVENTS = [
    *("forget", "end_the_chord", "delete_ended", "claim", "end_badly", "resolve", "resolve"),
    *["run_again"] * 3,
]
EVENTS = sorted({*WAITING_EVENTS, *RUNNING_EVENTS, *ENDED_EVENTS})
#: How far the attempt that is spoken of is from the one there is: mostly not at all.
OFF = st.sampled_from([0, 0, 0, 0, -1, -1, -2, 1, 1])


@dataclass(frozen=True)
class Attempt:
    """What a message says, what a worker holds, and what somebody has read from a row."""

    job_id: str
    number: int


def line_of(attempt: int) -> str:
    return json.dumps({"attempt": attempt}) + "\n"


def long_history(attempt: int, length: int) -> dict[str, Any]:
    """The next attempt of a job whose history has this length."""
    line = json.dumps({"attempt": attempt, "error": ""}) + "\n"
    return {"attempt": attempt + 1, "history": line.replace('""', f'"{"x" * (length - len(line))}"')}


EXPIRING = {"expires_at": START + 40 * SECOND}
PART = {"group_id": CHORD}
NEW_JOBS: dict[str, dict[str, Any]] = {
    "plain": {},
    "expiring part of a chord": EXPIRING | PART,
    "expiring, waiting for another": EXPIRING | {"blocked_by": "an earlier step", "dispatch_at": None},
    "part of a chord with a full history": PART | long_history(8, transitions.HISTORY_LIMIT),
    "expiring with an overfull history": EXPIRING | long_history(8, transitions.HISTORY_LIMIT + 1),
}


class JobsUnderFire(RuleBasedStateMachine):
    """Several jobs, and everybody who may say something about them.

    A message, a worker and whoever has read a row know an attempt by its number, and nothing else tells them apart. So
    at any time anything may be said of any attempt: the present one, one that is over (a late or second delivery, a
    worker that was given up for dead), or one that nobody has made yet.
    """

    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self, connection: Connection, tally: Counter[tuple[str, bool]]) -> None:
        super().__init__()
        self._connection = connection
        self._connection.execute(delete(Job))
        self._connection.execute(delete(JobGroup))
        self._tally = tally
        self._reference = Reference()
        self._rows: Rows = {}
        self._now = START
        self._once: Counter[tuple[str, str, int]] = Counter()

    @initialize(target=jobs, kinds=st.lists(st.sampled_from(sorted(NEW_JOBS)), min_size=2, max_size=3))
    def submit(self, kinds: list[str]) -> MultipleResults[str]:
        self._set_chord(unjoined=True)
        for number, kind in enumerate(kinds, 1):
            values = {"id": f"job-{number}", "created_at": START, "dispatch_at": START} | NEW_JOBS[kind]
            insert_job(self._connection, **values)
            self._reference.insert_jobs([job_row(**values)])
        self._rows = self._read_all()
        assert self._rows == self._reference.rows
        return multiple(*self._rows)

    # -- how a move is made and judged ---------------------------------------------------------------------------

    def _make(self, name: str, *args: Any, **kwargs: Any) -> bool:
        """Make a move in the table and in the model, and compare them; returns whether something changed."""
        before = self._rows
        answer = getattr(transitions, name)(self._connection, *args, **kwargs)
        assert answer == getattr(self._reference, name)(*args, **kwargs), "the answer is not the model's"
        after = self._rows = self._read_all()
        assert after == self._reference.rows, "the table is not the model's"
        changed = [job_id for job_id in before if after.get(job_id) != before[job_id]]
        if answer is not None:
            assert len(changed) == int(answer), "a refused move writes nothing, an accepted one writes one row"
        for job_id in changed:
            self._judge(name, before[job_id], after.get(job_id))
        self._tally[name, bool(changed)] += 1
        return bool(changed)

    def _judge(self, name: str, before: Row, after: Row | None) -> None:
        """Apply the laws of a single change."""
        assert not has_ended(before) or name in AFTER_THE_END
        if after is None:
            assert name == "delete_ended"
            return
        assert after["version"] - before["version"] == int(name not in SILENT)
        assert after["attempt"] - before["attempt"] == int(name in NEXT_ATTEMPT)
        assert before["cancel_requested_at"] in {None, after["cancel_requested_at"]} or name == "run_again"
        self._judge_history(before, after)
        if name in OUTCOMES or name == "claim":
            self._once["claim" if name == "claim" else "outcome", before["id"], before["attempt"]] += 1

    @staticmethod
    def _judge_history(before: Row, after: Row) -> None:
        """It grows by a line at a time, and has one for each earlier attempt that it tells of."""
        if after["history"] != before["history"]:
            told, old = history_of(after), before["history"] or ""
            assert after["history"].startswith(old) or len(old) > transitions.HISTORY_LIMIT
            assert told == sorted(set(told)) and told[-1] == after["attempt"] - 1

    @invariant()
    def the_laws_of_any_moment_hold(self) -> None:
        for row in self._rows.values():
            assert is_final(row["state"]) == (row["finished_at"] is not None)
            assert is_held(row), "nobody will ever move this job"
            assert not (waits(row) and row["cancel_requested_at"]), "a cancelled job is to be tried again"
        assert max(self._once.values(), default=1) == 1, "an attempt was claimed or ended twice"

    def _read_all(self) -> Rows:
        found = self._connection.execute(select(*Job.__table__.c).order_by(Job.id)).mappings()
        return {row["id"]: dict(row) for row in found}

    # -- what happens --------------------------------------------------------------------------------------------

    @rule(job=jobs, pick=st.integers(0, 999), off=OFF)
    def the_usual_happens(self, job: str, pick: int, off: int) -> None:
        row = self._rows.get(job)
        if row is not None:
            events = WAITING_EVENTS if waits(row) else ENDED_EVENTS if has_ended(row) else RUNNING_EVENTS
            getattr(self, f"_{events[pick % len(events)]}")(Attempt(job, row["attempt"] + off))

    @rule(job=jobs, event=st.sampled_from(EVENTS), off=OFF)
    def anything_happens(self, job: str, event: str, off: int) -> None:
        present = self._rows[job]["attempt"] if job in self._rows else 1
        getattr(self, f"_{event}")(Attempt(job, present + off))

    # -- publishers ----------------------------------------------------------------------------------------------

    def _mark_published(self, message: Attempt) -> None:
        self._make("mark_published", self._batch_with(message), self._tick())

    def _mark_publish_failed(self, message: Attempt) -> None:
        now = self._tick()
        self._make("mark_publish_failed", self._batch_with(message), f"away at {now}", now + SECOND)

    def _lease_for_dispatch(self, message: Attempt) -> None:
        self._make("lease_for_dispatch", self._batch_with(message), self._tick() + 30 * SECOND)

    def _give_back_lease(self, message: Attempt) -> None:
        now = self._tick()
        self._make("give_back_lease", [(*key, now) for key in self._batch_with(message)], f"gone at {now}")

    def _batch_with(self, message: Attempt) -> list[tuple[str, int]]:
        """This message and that of every second other job."""
        others = [row for job_id, row in self._rows.items() if job_id != message.job_id][::2]
        return [(message.job_id, message.number), *((row["id"], row["attempt"]) for row in others)]

    # -- workers -------------------------------------------------------------------------------------------------

    def _claim(self, message: Attempt) -> None:
        self._claim_at(message, self._tick())

    def _claim_as_it_expires(self, message: Attempt) -> None:
        """At the very moment it is too late."""
        row = self._rows.get(message.job_id)
        self._claim_at(message, row["expires_at"] if row and row["expires_at"] else self._tick())

    def _claim_at(self, message: Attempt, now: datetime) -> None:
        worker = f"worker-{self._now.second % 3}"
        self._make("claim", *astuple(message), worker=worker, worker_id=f"life of {worker}", now=now)

    def _report(self, run: Attempt) -> None:
        now = self._tick()
        state = State.PROGRESS if now.second % 2 else "UPLOADING"
        self._make("report", *astuple(run), state=state, meta=f'"{now}"')

    def _succeed(self, run: Attempt) -> None:
        now = self._tick()
        self._make("succeed", *astuple(run), result=f'"{now}"', children="[]", now=now)

    def _end_badly(self, run: Attempt) -> None:
        now = self._tick()
        self._make("end_badly", *astuple(run), state=self._bad_end(), error=self._fault("E"), children="[1]", now=now)

    def _requeue(self, run: Attempt) -> None:
        now, line = self._tick(), line_of(run.number)
        values, error = self._rewritten(), self._fault("Again")
        self._make("requeue", *astuple(run), values=values, error=error, line=line, wake_at=now + SECOND)

    def _block(self, run: Attempt) -> None:
        now, line = self._tick(), line_of(run.number)
        self._make("block", *astuple(run), reason="replacement", line=line, wake_at=now + SECOND)

    def _clear_alarm(self, run: Attempt) -> None:
        self._make("clear_alarm", *astuple(run))

    # -- maintenance ---------------------------------------------------------------------------------------------

    def _rescue(self, lost: Attempt, *, counted: bool = True) -> None:
        now, line = self._tick(), line_of(lost.number)
        self._make("rescue", *astuple(lost), error=self._fault("Lost"), line=line, counted=counted, wake_at=now)

    def _rescue_uncounted(self, lost: Attempt) -> None:
        self._rescue(lost, counted=False)

    def _expire(self, late: Attempt) -> None:
        """At any time, and just after it is too late."""
        now, row = self._tick(), self._rows.get(late.job_id)
        if row and row["expires_at"] and now.second % 2:
            now = row["expires_at"] + SECOND
        self._make("expire", *astuple(late), error=faults.revoked("expired"), now=now)

    def _end_blocked(self, of: Attempt) -> None:
        self._make("end_blocked", of.job_id, state=self._bad_end(), error=self._fault("Orphan"), now=self._tick())

    def _publish_again(self, lost: Attempt) -> None:
        self._make("publish_again", *astuple(lost), self._tick())

    # -- clients, and jobs that others wait for ------------------------------------------------------------------

    def _cancel(self, of: Attempt) -> None:
        """As `service.cancel`: whichever of the two holds."""
        now = self._tick()
        if not self._make("cancel_waiting", of.job_id, error=faults.revoked("cancelled"), now=now):
            self._make("cancel_running", of.job_id, now=now)

    def _run_again(self, ended: Attempt) -> None:
        now, line = self._tick(), line_of(ended.number)
        self._make("run_again", *astuple(ended), args=f'["{now}"]', kwargs='{"a": 1}', line=line, wake_at=now)

    def _forget(self, of: Attempt) -> None:
        self._make("forget", of.job_id)

    def _resolve(self, of: Attempt) -> None:
        """Or take it back, whichever of the two holds."""
        if not self._make("resolve", of.job_id, now=self._tick()):
            self._make("unresolve", of.job_id)

    def _delete_ended(self, of: Attempt) -> None:
        self._make("delete_ended", of.job_id)

    def _end_whatever_runs(self, of: Attempt) -> None:
        self._make("end_badly", of.job_id, None, state=self._bad_end(), error=self._fault("Junk"), now=self._tick())

    def _unblock(self, of: Attempt) -> None:
        self._make("unblock", of.job_id, values=self._rewritten(), wake_at=self._tick())

    def _end_the_chord(self, _: Attempt) -> None:
        self._set_chord(unjoined=False)

    # -- what events are made of ---------------------------------------------------------------------------------

    def _tick(self) -> datetime:
        """A clock that goes the same way whenever an example is played."""
        self._now += SECOND
        return self._now

    def _bad_end(self) -> State:
        return State.FAILURE if self._now.second % 2 else State.REVOKED

    def _fault(self, kind: str) -> dict[str, Any]:
        return faults.fault(kind, "builtins", [], f"at {self._now}")

    def _rewritten(self) -> dict[str, Any]:
        second = self._now.second
        row = job_row(task="other", args=f"[{second}]", queue="fast", retries=second, due_at=self._now)
        return {column: row.get(column) for column in transitions.REWRITABLE}

    def _set_chord(self, *, unjoined: bool) -> None:
        groups.save(self._connection, CHORD, now=START, unjoined=unjoined)
        self._reference.set_unjoined(CHORD, unjoined)


@pytest.fixture
def hasty(engine: Engine) -> Iterator[Connection]:
    """A connection that doesn't wait for the disk: nobody pulls a plug here."""
    haste = {"sqlite": "PRAGMA synchronous=OFF", "postgresql": "SET synchronous_commit = off"}
    with engine.connect() as connection:
        connection.detach()
        if engine.dialect.name in haste:
            connection.exec_driver_sql(haste[engine.dialect.name])
        yield connection


def test_whatever_happens_the_table_is_as_the_model_says(hasty: Connection) -> None:
    tally: Counter[tuple[str, bool]] = Counter()

    class Here(JobsUnderFire):
        def __init__(self) -> None:
            super().__init__(hasty, tally)

    everything = hasty.dialect.name == "sqlite"
    run_state_machine_as_test(
        Here, settings=SETTINGS if everything or EXAMPLES else settings(SETTINGS, max_examples=FEWER)
    )
    never = {(name, moved) for name in MOVES for moved in (True, False)} - set(tally)
    assert not never or not everything, "the run proves nothing about these"
