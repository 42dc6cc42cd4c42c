"""Rows to the broker: at once by who submits, later by any dispatcher.

A job that the broker doesn't take stays in the table, with the reason and an alarm for the next try.
"""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from ..errors import BrokerUnavailable, MessageRefused, Unpublishable
from . import faults, queries, transitions
from .database import transaction
from .outcome import tell_who_waits
from .runtime import Publisher, runtime, utcnow
from .states import State
from .submission import Outgoing

logger = logging.getLogger(__name__)

#: How long a dispatcher may take to send what it has leased.
LEASE = timedelta(seconds=30)
#: When to try a message again that the broker has refused.
REFUSED_AGAIN = timedelta(seconds=10)

Key = tuple[str, int]  # a job's id and the attempt


def publish(job: Outgoing) -> dict[str, Any]:
    """Send the message of a waiting job; return the columns that this changes, the mark soon (see `marks`)."""
    here = runtime()
    if here.publisher is None:
        return {}
    try:
        here.publisher.publish(job)
    except Unpublishable as error:
        return _fail(job, error)
    except BrokerUnavailable as error:
        return _keep(job, str(error), utcnow())
    except MessageRefused as error:
        return _keep(job, str(error), utcnow() + REFUSED_AGAIN)
    now = utcnow()
    here.marks.add(job.id, job.attempt, now)
    return {"published_at": now, "dispatch_at": None}


def publish_by_id(job_id: str) -> dict[str, Any]:
    """Send the message of a waiting job now instead of leaving it to a dispatcher; return the columns it changed."""
    with runtime().engine.connect() as connection:
        job = queries.outgoing(connection, job_id)
    return {} if job is None else publish(job)


def dispatch(limit: int) -> int:
    """Publish up to `limit` jobs that are due and not on the broker; return how many were.

    Most urgent first, then oldest. Any number of callers may run at once. The rows are leased first, so that no lock is
    held while messages are sent. If this process dies meanwhile, the lease runs out and another dispatcher sends them
    again; the fence makes doubles harmless.
    """
    publisher = runtime().publisher
    if publisher is None or publisher.refusal() is not None:
        return 0
    # A broker that was away is tried with one message, not with a batch.
    jobs = _lease(utcnow(), 1 if publisher.is_doubtful() else limit)
    if not jobs:
        return 0
    sent, refused, unsent, reason = _send(publisher, jobs)
    with transaction(runtime().engine) as connection:
        if sent:
            transitions.mark_published(connection, sorted(sent), utcnow())  # one order for all writers
        for job, refusal in refused:
            transitions.mark_publish_failed(connection, [_key(job)], refusal, utcnow() + REFUSED_AGAIN)
        if unsent:
            transitions.give_back_lease(connection, [(job.id, job.attempt, job.dispatch_at) for job in unsent], reason)
    if unsent:
        logger.warning("dispatch stopped after %d of %d messages: %s", len(sent), len(jobs), reason)
    return len(sent)


def _lease(now: datetime, limit: int) -> list[Outgoing]:
    """Take what is due, so that no other dispatcher does; the first look costs no write lock."""
    engine = runtime().engine
    with engine.connect() as connection:
        if not queries.anything_due(connection, now):
            return []
    with transaction(engine) as connection:
        jobs = queries.due(connection, now, limit)
        if jobs:
            transitions.lease_for_dispatch(connection, [_key(job) for job in jobs], now + LEASE)
    return jobs


def _send(
    publisher: Publisher, jobs: Sequence[Outgoing]
) -> tuple[list[Key], list[tuple[Outgoing, str]], Sequence[Outgoing], str]:
    """Send messages until the broker is gone; return what was sent, refused (and why), and not sent (and why)."""
    sent: list[Key] = []
    refused: list[tuple[Outgoing, str]] = []
    impossible: list[tuple[Outgoing, Unpublishable]] = []
    try:
        with publisher.together():
            for tried, job in enumerate(jobs):
                try:
                    publisher.publish(job)
                except Unpublishable as error:
                    impossible.append((job, error))
                except MessageRefused as error:
                    refused.append((job, str(error)))
                except BrokerUnavailable as error:
                    return sent, refused, jobs[tried:], str(error)
                else:
                    sent.append(_key(job))
    except BrokerUnavailable as error:
        return [], refused, jobs, str(error)
    finally:
        # Afterwards: who waits for them may send messages, which must not count as sent before these are.
        for job, why in impossible:
            _fail(job, why)
    return sent, refused, [], ""


def _keep(job: Outgoing, reason: str, again_at: datetime) -> dict[str, Any]:
    """The broker doesn't have it: say why, and leave it to the dispatchers."""
    logger.warning("job %s is kept in the table: %s", job.id, reason)
    with runtime().engine.connect() as connection:
        transitions.mark_publish_failed(connection, [_key(job)], reason, again_at)
    return {"publish_error": reason, "dispatch_at": again_at}


def _fail(job: Outgoing, error: Unpublishable) -> dict[str, Any]:
    now, reason = utcnow(), f"no message can be made of this job: {error}"
    fault = faults.fault("Unpublishable", "task_app.errors", [reason], reason)
    with runtime().engine.connect() as connection:
        moved = transitions.end_badly(connection, job.id, job.attempt, state=State.FAILURE, error=fault, now=now)
    if moved:
        tell_who_waits(job.id)
    return {"state": State.FAILURE, "error": json.dumps(fault), "finished_at": now, "dispatch_at": None}


def _key(job: Outgoing) -> Key:
    return job.id, job.attempt
