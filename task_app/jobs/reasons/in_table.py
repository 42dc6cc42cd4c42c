"""Why a job waits that is not on the broker."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from .. import queries, states
from ..models import Job
from ..queries import PRIORITIES
from ..view import JobView
from ..wording import Sentence, first_line, number_of
from .look import Look, paused_since
from .words import Cause, Explanation

_c = Job.__table__.c

#: How many of the jobs that go first are counted.
LOOK = 1_000


def why_in_table(look: Look) -> Explanation:
    """Not on the broker: not yet due, or nobody has put it there."""
    job = look.job
    failed = _why_again(job)
    if job.due_at is not None and job.due_at > look.now:
        kept: Sentence = ("Until then it is kept safe in the table",)
        if failed is not None:
            due: Sentence = (*failed, "; the next one is due at ", job.due_at)
            return look.says(Cause.NEXT_TRY, due, kept, *_paused_note(look), safe=True, facts=_due_facts(job))
        due = ("It is due at ", job.due_at)
        return look.says(Cause.DUE_TIME, due, kept, *_paused_note(look), safe=True, facts=_due_facts(job))
    notes = ([failed] if failed else []) + _paused_note(look) + _listening_note(look)
    found = queries.row(look.connection, job.id, "dispatch_at")
    again_at: datetime | None = found["dispatch_at"] if found else None
    if job.publish_error is not None:
        sentences: list[Sentence] = [
            (f"The broker could not be reached: {first_line(job.publish_error).rstrip('.')}",),
            ("The job is kept safe in the table and is published when the broker is back",),
        ]
        if again_at is not None and again_at > look.now and look.living:
            sentences.append(("The next try is at ", again_at))
        facts = {"publish_error": job.publish_error, "next_try_at": again_at}
        return look.says(Cause.BROKER, *sentences, *_nobody_note(look), *notes, safe=True, facts=facts)
    if again_at is not None and again_at > look.now:
        soon: Sentence = ("Whoever submitted it is publishing it; should that fail, a dispatcher does so at ", again_at)
        return look.says(Cause.DISPATCH, soon, *_nobody_note(look), *notes, safe=True, facts={"next_try_at": again_at})
    if not look.living:
        nobody: Sentence = (
            "It is kept safe in the table, and nobody publishes it: no worker lives, no maintenance runs",
        )
        return look.says(Cause.NOBODY_DISPATCHES, nobody, *notes, safe=True, facts={"next_try_at": again_at})
    return about_to_be_published(look, again_at, notes)


def about_to_be_published(look: Look, since: datetime | None, notes: Sequence[Sentence]) -> Explanation:
    """Due and in the dispatchers' line: count those before it."""
    job = look.job
    more_urgent = [priority for priority in PRIORITIES if priority > job.priority]
    before = [select(_c.id).where(_c.priority.in_(more_urgent), _c.dispatch_at <= look.now)] if more_urgent else []
    if since is not None:
        before.append(select(_c.id).where(_c.priority == job.priority, _c.dispatch_at < since))
    ahead = sum(
        look.connection.execute(select(func.count()).select_from(part.limit(LOOK).subquery())).scalar_one()
        for part in before
    )
    at_least = ahead >= LOOK
    line: Sentence = (f"It is due and is about to be published, after {number_of(ahead, 'job', at_least)} before it",)
    if not ahead:
        line = ("It is due and is about to be published",)
    return look.says(Cause.DISPATCH, line, *notes, safe=True, facts={"ahead": ahead, "ahead_at_least": at_least})


def _why_again(job: JobView) -> Sentence | None:
    """Say how the attempt before ended, when this one follows it."""
    if job.state != states.State.RETRY or not job.earlier_attempts:
        return None
    last = job.earlier_attempts[-1]
    error = last.get("error") or {}
    if last["state"] == "LOST":
        return (f"Attempt {last['attempt']} was lost: {first_line(error.get('message'))}",)
    return (f"Attempt {last['attempt']} failed ({error.get('type')}: {first_line(error.get('message'))})",)


def _due_facts(job: JobView) -> dict[str, Any]:
    facts: dict[str, Any] = {"due_at": job.due_at, "attempt": job.attempt}
    if job.state == states.State.RETRY and job.earlier_attempts:
        facts["failed"] = job.earlier_attempts[-1].get("error")
    return facts


def _nobody_note(look: Look) -> list[Sentence]:
    """Say so when no dispatcher will come."""
    return [] if look.living else [("But nobody will: no worker lives and no maintenance runs",)]


def _paused_note(look: Look) -> list[Sentence]:
    return [] if look.paused is None else [paused_since(look, look.paused)]


def _listening_note(look: Look) -> list[Sentence]:
    return [] if look.listeners or not look.living else [("No live worker listens to queue ", look.queue)]
