"""Following a job on the terminal: a live line with its state, its progress and why it waits."""

import time

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from ..jobs import service
from ..jobs.runtime import runtime, utcnow
from ..jobs.states import is_final
from ..jobs.view import JobView
from .output import console

#: Seconds between two looks at the clock while nothing changes.
LOOK = 0.5


def follow(job: JobView, timeout: float | None) -> JobView:
    """Wait for the job to end, or for `timeout` seconds, and return it as it is then. Raises JobNotFound.

    Where standard error is a terminal, a line there shows how far it is.
    """
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    out = console(err=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        line = progress.add_task("", total=None)
        while not is_final(job.state) and time.monotonic() < deadline:
            _show(progress, line, job)
            changed = runtime().feed.change_of(job, min(LOOK, max(0.0, deadline - time.monotonic())))
            job = service.get(job.id) if changed is None else changed
    return job


def _show(progress: Progress, line: TaskID, job: JobView) -> None:
    reason, done = job.waiting_for(utcnow()), job.progress
    words = [job.task, job.state, f"waits for {reason}" if reason else done["message"] or ""]
    total = done["total"] if done["percent"] is not None else None
    text = escape(" ".join(str(word) for word in words if word))
    progress.update(line, description=text, total=total, completed=done["current"] if total else 0)
