"""Which colour a state has: the class of every mark that stands for a job or an attempt."""

from ...jobs.states import State, is_running, is_waiting

_KINDS = {State.SUCCESS: "ok", State.FAILURE: "bad", State.REVOKED: "stop", State.RETRY: "retry"}


def kind_of(state: str) -> str:
    """Return ok, bad, stop, retry, wait or run; LOST is what an attempt can be besides."""
    if state == "LOST":
        return "retry"
    if state in _KINDS:
        return _KINDS[State(state)]
    return "wait" if is_waiting(state) else "run" if is_running(state) else "stop"
