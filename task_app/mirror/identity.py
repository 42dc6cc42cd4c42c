"""Which life of which worker this process belongs to.

The worker's parent process draws the id before its pool is made; children inherit it. A restarted worker has the same
name and another id, which is how its abandoned jobs are told from its current ones.
"""

from ..jobs.ids import new_id

_worker_id: str | None = None


def draw_worker_id() -> str:
    """Start a new life. Called once by a worker, before it forks."""
    global _worker_id  # noqa: PLW0603 - one life per process, inherited by its children
    _worker_id = new_id()
    return _worker_id


def worker_id() -> str | None:
    """Return the id of this process's worker, or None outside a worker."""
    return _worker_id
