"""The same thing done to many jobs, with an outcome for each: to those named, or to all that a filter wants.

All matching means all at one moment: jobs that come later are not concerned. They are worked through in steps, newest
first, each going on where the last one ended. An action may well move jobs out of the filter; since a step begins at a
place and not after so many jobs, none is left out and none is done twice.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ..errors import IllegalMove, JobNotFound, TaskAppError
from . import lists, queries, service
from .filters import Filter
from .lists import Place
from .runtime import runtime
from .states import State, is_final
from .view import JobView

logger = logging.getLogger(__name__)

#: How many jobs one step handles at most: an answer must come within seconds.
STEP = 200


class Action(StrEnum):
    """What can be done to many jobs."""

    CANCEL = "cancel"
    RETRY = "retry"
    RESOLVE = "resolve"
    UNRESOLVE = "unresolve"
    DELETE = "delete"


class Outcome(StrEnum):
    """What became of one of them."""

    CHANGED = "changed"
    NOTHING_TO_DO = "nothing to do"  # it was so already
    NOT_ALLOWED = "not allowed"  # its state forbids it
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """One job, and what became of it."""

    job_id: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did; `next` None says that no more follow. There may be more even where nothing was done."""

    done: list[Done]
    next: Place | None = None


def on_jobs(action: Action, job_ids: Sequence[str]) -> Step:
    """Do it to these jobs, each once."""
    job_ids = list(dict.fromkeys(job_ids))
    with runtime().engine.connect() as connection:
        known = queries.get_many(connection, job_ids)
    return Step([_do(action, job_id, known.get(job_id)) for job_id in job_ids])


def step(action: Action, wanted: Filter, *, after: Place | None = None, limit: int = STEP) -> Step:
    """Do it to the next jobs that a filter wants, from after the place where the last step ended.

    `wanted.created_before` is the moment that counts: when somebody saw the list that he means. Where it is None, it is
    that of the first step, since the later ones begin behind all that comes after.
    """
    with runtime().engine.connect() as connection:
        page = lists.page(connection, wanted, limit=limit, after=after)
    return Step([_do(action, job.id, job) for job in page.jobs], page.next)


def _do(action: Action, job_id: str, job: JobView | None) -> Done:
    if job is None:
        return Done(job_id, Outcome.FAILED, str(JobNotFound(job_id)))
    idle = _IDLE[action](job)
    return _try(action, job_id) if idle is None else Done(job_id, Outcome.NOTHING_TO_DO, idle)


def _try(action: Action, job_id: str) -> Done:
    """Do it to one. Whatever is wrong with it is its outcome: it must not keep the others from theirs."""
    try:
        return Done(job_id, Outcome.CHANGED, _DO[action](job_id))
    except IllegalMove as error:
        if action is Action.CANCEL and error.state == State.REVOKED:
            return Done(job_id, Outcome.NOTHING_TO_DO, "it was revoked with another")
        return Done(job_id, Outcome.NOT_ALLOWED, str(error))
    except TaskAppError as error:
        return Done(job_id, Outcome.FAILED, str(error))
    except (OperationalError, InterfaceError, PoolTimeout):
        raise  # not this job's fault, and the others would wait for the database in vain
    except Exception:
        logger.exception("could not %s job %s", action, job_id)
        return Done(job_id, Outcome.FAILED, "an error inside; the log has it")


def _cancel(job_id: str) -> str:
    return "revoked" if service.cancel(job_id).state == State.REVOKED else "told to end"


def _retry(job_id: str) -> str:
    return f"attempt {service.retry(job_id).attempt} waits"


def _resolve(job_id: str) -> str:
    service.resolve(job_id)
    return "resolved"


def _unresolve(job_id: str) -> str:
    service.resolve(job_id, resolved=False)
    return "open again"


def _delete(job_id: str) -> str:
    service.delete(job_id)
    return "deleted"


_DO: Mapping[Action, Callable[[str], str]] = {
    Action.CANCEL: _cancel,
    Action.RETRY: _retry,
    Action.RESOLVE: _resolve,
    Action.UNRESOLVE: _unresolve,
    Action.DELETE: _delete,
}


def _was_cancelled(job: JobView) -> str | None:
    if job.state == State.REVOKED:
        return "it was revoked already"
    asked = job.cancel_requested_at is not None and not is_final(job.state)
    return "it has been told to end already" if asked else None


def _was_resolved(job: JobView) -> str | None:
    return None if job.resolved_at is None else "it was resolved already"


def _was_open(job: JobView) -> str | None:
    return "it was not resolved" if job.state == State.FAILURE and job.resolved_at is None else None


def _never(job: JobView) -> Any:
    return None


#: Why there is nothing to do for a job, as far as that can be seen beforehand.
_IDLE: Mapping[Action, Callable[[JobView], str | None]] = {
    Action.CANCEL: _was_cancelled,
    Action.RETRY: _never,
    Action.RESOLVE: _was_resolved,
    Action.UNRESOLVE: _was_open,
    Action.DELETE: _never,
}
