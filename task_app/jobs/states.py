"""The states of a job: Celery's own words, and nothing finer.

A task may set states of its own while it runs (`update_state(state="UPLOADING")`); every state that is
neither waiting nor final is a running one.
"""

from enum import StrEnum


class State(StrEnum):
    """Celery's states. The value is what stands in the table and in the API."""

    PENDING = "PENDING"  # accepted; no worker has taken it
    STARTED = "STARTED"  # claimed by a worker
    PROGRESS = "PROGRESS"  # running, and it has reported how far it is
    RETRY = "RETRY"  # an attempt has failed; the next one waits
    SUCCESS = "SUCCESS"  # ended with a result
    FAILURE = "FAILURE"  # ended with an error
    REVOKED = "REVOKED"  # cancelled or expired before it could end by itself


WAITING = (State.PENDING, State.RETRY)
FINAL = (State.SUCCESS, State.FAILURE, State.REVOKED)


def is_final(state: str) -> bool:
    """Say whether a job in this state will not move again by itself."""
    return state in FINAL


def is_waiting(state: str) -> bool:
    """Say whether a job in this state is waiting for a worker to claim it."""
    return state in WAITING


def is_running(state: str) -> bool:
    """Say whether a worker holds the job; custom states of tasks are running ones."""
    return state not in WAITING and state not in FINAL


class WaitReason(StrEnum):
    """Why a job is not running."""

    DUE_TIME = "due time"  # its due time has not come
    DISPATCH = "dispatch"  # due, and about to be put on the broker
    BROKER = "broker"  # due, but the broker can't be reached; kept safe in the table
    CHAIN = "an earlier step of its chain"
    CHORD = "the parts of its chord"
    REPLACEMENT = "replacement"  # the task put other tasks in its place; the last of them will bear this id
    WORKER = "worker"  # on the broker; no worker has taken it yet
