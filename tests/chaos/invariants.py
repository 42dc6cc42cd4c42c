"""The promises, counted over every job. Each invariant yields (job id, what is wrong) for each job that breaks it.

They judge finished facts and touch no service, so that test_invariants.py can show that each of them can fail.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

from .book import Answer, Told
from .facts import LOST, Facts, Row
from .jobs import FAILING, TICK
from .ledger import ASKED_FOR_RETRY, RAISED, RETURNED

Broken = Iterator[tuple[str, str]]
Invariant = Callable[[Facts], Broken]

#: State of an attempt → how its execution must have ended. REVOKED and LOST ones may have ended anyhow, or not at all.
PROOFS = {"SUCCESS": RETURNED, "RETRY": ASKED_FOR_RETRY, "FAILURE": RAISED}
OUTCOMES = tuple(PROOFS)
#: Failures that no task wrote: the last attempt was lost as well, or it was never to run.
GIVEN_UP = "WorkerLostError"


@dataclass(frozen=True)
class Violation:
    """One broken promise."""

    invariant: str
    job: str
    what: str


def check(facts: Facts) -> list[Violation]:
    """Count every invariant over all facts."""
    return [
        Violation(invariant.__name__, job_id, what) for invariant in INVARIANTS for job_id, what in invariant(facts)
    ]


def accepted_jobs_exist(facts: Facts) -> Broken:
    """Every id that a client was told is accepted is in the table."""
    for job_id, told in facts.told.items():
        if told.accepted and job_id not in facts.rows:
            yield job_id, "was accepted and is not in the table"


def every_job_has_ended(facts: Facts) -> Broken:
    """No row is unfinished, also of jobs whose submit got no answer."""
    for row in facts.rows.values():
        if not row.is_final:
            yield row.id, f"is still {row.state}"


def nobody_made_jobs_up(facts: Facts) -> Broken:
    """Every row was asked for: a repeated submit makes no second job."""
    for row in facts.rows.values():
        if row.id not in facts.told and row.task != TICK:
            yield row.id, f"is a {row.task} that nobody asked for"


def every_attempt_has_one_outcome(facts: Facts) -> Broken:
    """The history has one line for each attempt, from 1 on, without gaps and doubles."""
    for row in facts.rows.values():
        numbers = [attempt.number for attempt in row.attempts]
        if row.is_final and numbers != list(range(1, row.attempt + 1)):
            yield row.id, f"is at attempt {row.attempt}, and its history tells of {numbers}"


def an_attempt_runs_once(facts: Facts) -> Broken:
    """No attempt is executed twice, whatever is delivered twice. So a job that met no fault ran exactly once.

    But for those that a crash of the database made it forget: another worker may have claimed that attempt.
    """
    for job_id in facts.ledger:
        numbers = [one.attempt for one in facts.executions(job_id) if not facts.was_forgotten(one)]
        for number in sorted({number for number in numbers if numbers.count(number) > 1}):
            yield job_id, f"ran attempt {number} {numbers.count(number)} times"


def outcomes_are_earned(facts: Facts) -> Broken:
    """An outcome that the task wrote was written by an execution that ended so: executed at least once."""
    for row in facts.rows.values():
        for attempt in row.attempts:
            proof = PROOFS.get(attempt.state)
            if proof is None or (attempt.state == "FAILURE" and not _failed_by_itself(row)):
                continue
            if not any(one.how == proof for one in facts.executions(row.id, attempt.number)):
                yield row.id, f"has {attempt.state} for attempt {attempt.number}, and no execution that {proof}"


def what_ran_is_on_record(facts: Facts) -> Broken:
    """The ledger knows of no attempt that the history does not."""
    for job_id in facts.ledger:
        row = facts.rows.get(job_id)
        known = {attempt.number for attempt in row.attempts} if row else set()
        for number in sorted({one.attempt for one in facts.executions(job_id)} - known):
            yield job_id, f"ran attempt {number}, of which its history says nothing"


def attempts_never_both_count(facts: Facts) -> Broken:
    """No two attempts of one job ran at the same time with both writes accepted."""
    for row in facts.rows.values():
        counted = {attempt.number for attempt in row.attempts if attempt.state in OUTCOMES}
        for one, other in combinations(facts.executions(row.id), 2):
            if one.attempt != other.attempt and {one.attempt, other.attempt} <= counted and one.overlaps(other):
                yield row.id, f"ran attempts {one.attempt} and {other.attempt} at once, and both outcomes count"


def fenced_writes_are_refused(facts: Facts) -> Broken:
    """An attempt that was given up never carries an outcome, nor is it the last one."""
    for row in facts.rows.values():
        for attempt in row.attempts:
            if attempt.state != LOST:
                continue
            states = [other.state for other in row.attempts if other.number == attempt.number]
            if states != [LOST] or (row.attempt == attempt.number and row.is_final):
                yield row.id, f"attempt {attempt.number} was given up and is {', '.join(states)}; now {row.state}"


def results_are_right(facts: Facts) -> Broken:
    """A success has the value that its arguments make; a job that must fail doesn't succeed."""
    for row, told in _wanted_rows(facts):
        if row.state == "SUCCESS" and row.result != told.wanted.value:
            yield row.id, f"returned {row.result!r} instead of {told.wanted.value!r}"


def failures_have_a_cause(facts: Facts) -> Broken:
    """A job fails because its task raised, its workers died too often, or what it waited for failed."""
    for row, told in _wanted_rows(facts):
        if row.state != "FAILURE" or (told.wanted.value is None and row.error_type == "Refused"):
            continue
        lost = sum(attempt.state == LOST for attempt in row.attempts)
        if row.error_type == GIVEN_UP and lost >= facts.max_rescues:
            continue
        if any(_is_not_success(facts, before) for before in _before(told)):
            continue
        yield row.id, f"failed with {row.error_type} after {lost} lost attempts, for no reason that is its own"


def cancels_have_a_cause(facts: Facts) -> Broken:
    """Accepted = ended by itself + explicitly cancelled: who is REVOKED was cancelled, or is of a cancelled family."""
    families = _families(facts)
    for row, told in _wanted_rows(facts):
        if row.state == "REVOKED" and not any(_may_be_cancelled(one) for one in families.get(row.id, [told])):
            yield row.id, "is REVOKED, and nobody cancelled it"


def cancelled_is_cancelled(facts: Facts) -> Broken:
    """Who was told "revoked" is never told anything else, and a waiting job that was revoked never starts."""
    for row, told in _wanted_rows(facts):
        if told.retries:
            continue
        for cancel in told.cancels:
            if cancel.answer is Answer.REVOKED and row.state != "REVOKED":
                yield row.id, f"was revoked, and is {row.state}"
            if cancel.answer is Answer.REVOKED and any(one.began > cancel.at for one in facts.executions(row.id)):
                yield row.id, "was revoked, and started after that"
            if cancel.answer is Answer.ASKED and row.attempt != cancel.attempt:
                yield row.id, f"was asked to end its attempt {cancel.attempt}, and began attempt {row.attempt}"


def retries_are_done(facts: Facts) -> Broken:
    """A retry that was accepted makes another attempt."""
    for row, told in _wanted_rows(facts):
        if any(told.retries) and row.attempt < 2:
            yield row.id, "was to be retried, and is at its first attempt"


def priorities_stay(facts: Facts) -> Broken:
    """A job keeps its priority, however often it is tried and whatever carries its messages."""
    for row, told in _wanted_rows(facts):
        if row.priority != told.wanted.priority:
            yield row.id, f"was submitted with priority {told.wanted.priority} and has {row.priority}"


def chains_go_on(facts: Facts) -> Broken:
    """A step whose predecessor succeeded ran, or was cancelled or given up; no other step ran."""
    for row, told in _wanted_rows(facts):
        before = facts.rows.get(told.wanted.after or "")
        if before is None:
            continue
        if before.state == "SUCCESS" and row.state == "FAILURE" and not facts.executions(row.id):
            yield row.id, "never ran, although the step before succeeded"
        if facts.executions(row.id) and not facts.returned(before.id):
            yield row.id, "ran, although the step before never returned"


def chords_are_joined(facts: Facts) -> Broken:
    """The body of a chord ran if all parts succeeded, and only then."""
    for row, told in _wanted_rows(facts):
        if not told.wanted.parts:
            continue
        all_succeeded = not any(_is_not_success(facts, part) for part in told.wanted.parts)
        if all_succeeded and row.state == "FAILURE" and not facts.executions(row.id):
            yield row.id, "never ran, although all its parts succeeded"
        if facts.executions(row.id) and not all_succeeded:
            yield row.id, "ran, although not all of its parts succeeded"


def families_are_complete(facts: Facts) -> Broken:
    """Where a client was told that a chain or chord is accepted, each member has a row: see accepted_jobs_exist.

    Where nobody knows, a body or step that exists has what it waits for.
    """
    for row, told in _wanted_rows(facts):
        for before in _before(told):
            if before not in facts.rows and row.state == "SUCCESS":
                yield row.id, f"succeeded without {before}, which does not exist"


def nothing_else_went_wrong(facts: Facts) -> Broken:
    """No answer 500, no unknown exception, no process that ended by itself."""
    for surprise in facts.surprises:
        yield "-", surprise


INVARIANTS: tuple[Invariant, ...] = (
    accepted_jobs_exist,
    every_job_has_ended,
    nobody_made_jobs_up,
    every_attempt_has_one_outcome,
    an_attempt_runs_once,
    outcomes_are_earned,
    what_ran_is_on_record,
    attempts_never_both_count,
    fenced_writes_are_refused,
    results_are_right,
    failures_have_a_cause,
    cancels_have_a_cause,
    cancelled_is_cancelled,
    retries_are_done,
    priorities_stay,
    chains_go_on,
    chords_are_joined,
    families_are_complete,
    nothing_else_went_wrong,
)


def late_writes(facts: Facts) -> int:
    """Count executions that ended after their attempt had been given up: each tried a write that was refused."""
    return sum(
        one.ended is not None and attempt.finished_at is not None and one.ended > attempt.finished_at
        for row in facts.rows.values()
        for attempt in row.attempts
        if attempt.state == LOST
        for one in facts.executions(row.id, attempt.number)
    )


def _wanted_rows(facts: Facts) -> Iterator[tuple[Row, Told]]:
    for job_id, told in facts.told.items():
        if job_id in facts.rows:
            yield facts.rows[job_id], told


def _failed_by_itself(row: Row) -> bool:
    """Say whether the failure is the task's own: later steps of a chain and bodies bear the error of another."""
    return row.task in FAILING and row.error_type == "Refused"


def _before(told: Told) -> tuple[str, ...]:
    return (*told.wanted.parts, *((told.wanted.after,) if told.wanted.after else ()))


def _is_not_success(facts: Facts, job_id: str) -> bool:
    return job_id not in facts.rows or facts.rows[job_id].state != "SUCCESS"


def _may_be_cancelled(told: Told) -> bool:
    return any(cancel.answer is not Answer.ENDED for cancel in told.cancels)


def _families(facts: Facts) -> dict[str, list[Told]]:
    """Return, for each member of a chain or chord, all members."""
    family_of: dict[str, list[Told]] = {}
    for job_id, told in facts.told.items():
        family = family_of.setdefault(job_id, [told])
        for before in _before(told):
            for member in family_of.get(before, []):
                if member not in family:
                    family.append(member)
        for member in family:
            family_of[member.wanted.id] = family
    return family_of
