"""Tasks that show what the mirror must get right. Names are given, so that they don't depend on this module's place."""

import os
import signal
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

from celery import current_task, group, shared_task
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.worker.control import control_command

from task_app.extensions import db
from task_app.jobs import service
from task_app.mirror.request import attempt_of
from task_app.mirror.task import JobTask
from task_app.tasks import FileId, file_path, raise_if_cancelled, report_progress, save_artefact
from task_app.users.models import User


class Refused(Exception):
    """An error of a task's own."""


@shared_task(name="probe.fail")
def fail(message: str = "no good") -> None:
    """Fail with two arguments, so that rebuilding the exception shows."""
    raise Refused(message, 42)


class Needy(Exception):
    """An error that can't be made again from its arguments, so it can't be pickled either."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


@shared_task(name="probe.fail_needily")
def fail_needily() -> None:
    """Fail as many libraries do."""
    raise Needy(507, "no room")


@shared_task(name="probe.echo")
def echo(value: Any = None) -> Any:
    """Return the argument."""
    return value


@shared_task(name="probe.weekday")
def weekday(day: date) -> str:
    """Name a day."""
    return day.strftime("%A")


@shared_task(name="probe.total")
def total(values: list[int]) -> int:
    """Add a chord's results."""
    return sum(values)


@shared_task(name="probe.not_json")
def not_json() -> object:
    """Return what JSON has no word for."""
    return {1, 2}


@shared_task(name="probe.not_a_number")
def not_a_number() -> float:
    """Return what Python's JSON writes and no other reads."""
    return float("nan")


@shared_task(name="probe.big")
def big(size: int) -> str:
    """Return a text of that many bytes."""
    return "x" * size


@shared_task(name="probe.quiet", ignore_result=True)
def quiet() -> int:
    """Return what nobody wants."""
    return 5


@shared_task(name="probe.retry_twice", bind=True, max_retries=5)
def retry_twice(self: Any, countdown: float = 0) -> int:
    """Succeed at the third attempt."""
    if self.request.retries < 2:
        raise self.retry(exc=Refused(f"try {self.request.retries}"), countdown=countdown)
    return int(self.request.retries)


@shared_task(name="probe.retry_for_ever", bind=True, max_retries=100)
def retry_for_ever(self: Any) -> None:
    """Never succeed."""
    raise self.retry(exc=Refused("again"), countdown=0)


@shared_task(name="probe.retry_when_cancelled", bind=True)
def retry_when_cancelled(self: Any) -> None:
    """Wait for the cancel that the test asks for, then retry."""
    while service.get(self.request.id).cancel_requested_at is None:
        time.sleep(0.02)
    raise self.retry(countdown=0)


@shared_task(name="probe.steps", bind=True)
def steps(self: Any, count: int, pause: float) -> str:
    """Report progress in steps; obeys a cancel at each."""
    for step in range(count):
        report_progress(step + 1, count, f"step {step + 1}")
        time.sleep(pause)
    return "done"


@shared_task(name="probe.storm")
def storm(count: int) -> int:
    """Report as fast as Python can."""
    for step in range(count):
        report_progress(step + 1, count)
    return count


@shared_task(name="probe.custom", bind=True)
def custom(self: Any, seconds: float) -> str:
    """Set a state of its own."""
    self.update_state(state="UPLOADING", meta={"file": "a.bin"})
    time.sleep(seconds)
    return "uploaded"


@shared_task(name="probe.sleep")
def sleep(seconds: float) -> str:
    """Sleep, deaf to cancels."""
    time.sleep(seconds)
    return "slept"


@shared_task(name="probe.until_told", bind=True)
def until_told(self: Any, path: str) -> int:
    """Go on until the test writes the file of this attempt; raise what is in it, or return the attempt's number."""
    attempt = attempt_of(self.request)
    told = Path(f"{path}-{attempt}")
    while not told.exists():
        time.sleep(0.02)
    if reason := told.read_text():
        raise ValueError(reason)
    return attempt


@shared_task(name="probe.as_told")
def as_told(path: str, total: int) -> str:
    """Go as far as the test has written into a file, and report each step."""
    for step in range(1, total + 1):
        _until_written(path, step)
        report_progress(step, total, f"step {step}")
    return "all done"


def _until_written(path: str, number: int) -> None:
    told = Path(path)
    while not told.exists() or int(told.read_text() or 0) < number:
        time.sleep(0.02)


@shared_task(name="probe.hostile", bind=True)
def hostile(self: Any, path: str, *values: Any, **named: Any) -> None:
    """Say the first of the values wherever a task can say something; go on when told, and fail with it."""
    text = str(values[0])
    report_progress(1, 3, text)
    _until_written(path, 1)
    self.update_state(state=text, meta={"current": 2, "total": 3, "message": text})
    _until_written(path, 2)
    raise type(text, (Exception,), {"__module__": text})(text)


@shared_task(name="probe.obedient")
def obedient(seconds: float) -> str:
    """Ask again and again whether to go on, and tidy up when not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        raise_if_cancelled()
        time.sleep(0.01)
    return "done"


@shared_task(name="probe.deaf")
def deaf(seconds: float, path: str) -> str:
    """Say which process runs it, and ignore the signal that ends a process politely."""
    Path(path).write_text(str(os.getpid()), encoding="utf-8")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)
    return "slept"


@shared_task(name="probe.family", bind=True)
def family(self: Any, countdown: float, seconds: float) -> str:
    """Send a job, a group and a chain that are due later, and go on working."""
    echo.apply_async(("child",), countdown=countdown)
    group(echo.s(n).set(countdown=countdown) for n in range(2)).apply_async()
    (echo.s(1).set(countdown=countdown) | echo.si(2)).apply_async()
    time.sleep(seconds)
    return "done"


@shared_task(name="probe.tidy", bind=True, soft_time_limit=1)
def tidy(self: Any, path: str, again: bool) -> str:
    """Tidy up when the soft time limit is over; then fail, or ask for another attempt."""
    if self.request.retries:
        return "second attempt"
    try:
        time.sleep(30)
    except SoftTimeLimitExceeded:
        Path(path).write_text("tidied", encoding="utf-8")
        if again:
            raise self.retry(countdown=0) from None
        raise
    return "slept"


@shared_task(name="probe.die")
def die() -> None:
    """End the process that runs the task."""
    os._exit(3)


@shared_task(name="probe.replaced", bind=True)
def replaced(self: Any, by_chain: bool) -> Any:
    """Put another task, or a chain of two, in its place."""
    if by_chain:
        raise self.replace(echo.si(1) | echo.si("end of the chain"))
    raise self.replace(echo.si("the other task"))


@shared_task(name="probe.replaced_badly", bind=True)
def replaced_badly(self: Any, how: str) -> Any:
    """Put in its place what fails, or what can't be sent."""
    if how == "chain":
        raise self.replace(echo.si(1) | fail.si() | echo.si(2))
    raise self.replace(echo.s(object()))


@shared_task(name="probe.ignored")
def ignored() -> None:
    """Say that nothing is to be recorded."""
    raise Ignore


@shared_task(name="probe.ignored_with_state", bind=True)
def ignored_with_state(self: Any) -> None:
    """Record a failure by hand, as Celery's documentation shows."""
    self.update_state(state="FAILURE", meta=Refused("by hand"))
    raise Ignore


@shared_task(name="probe.rejected")
def rejected() -> None:
    """Give the message back to the broker, every time."""
    raise Reject("not now", requeue=True)


@shared_task(name="probe.parent")
def parent() -> str:
    """Send a job from inside a job."""
    return str(echo.delay("child").id)


@shared_task(name="probe.ledger")
def ledger(path: str, line: str) -> None:
    """Write a line: how often did it really run?"""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


@control_command(name="stand_still")  # not a task: it runs in the worker's own loop
def stand_still(state: Any) -> None:
    """Never come back to the loop."""
    threading.Event().wait()


@control_command(name="lose_connection")
def lose_connection(state: Any) -> None:
    """Connect anew."""
    state.consumer.restart("the test wants it")


@shared_task(name="probe.slow_rate", rate_limit="1/s")
def slow_rate(value: int) -> int:
    """Run once a second."""
    return value


class OwnStart(JobTask):
    """A task class that doesn't call up."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Do something else."""


@shared_task(name="probe.own_before_start", base=OwnStart)
def own_before_start() -> str:
    """Run although its class never claims."""
    return "ran"


@shared_task(name="probe.user_name")
def user_name(email: str) -> str | None:
    """Return what the worker sees of a row that the submitter wrote in the same transaction."""
    found = db.session.execute(db.select(User.name).where(User.email == email)).scalar_one_or_none()
    return None if found is None else str(found)


@shared_task(name="probe.reverse")
def reverse(file: FileId) -> str:
    """Make a file with the bytes of another one in reverse."""
    with file_path(file) as path:
        content = path.read_bytes()
    return save_artefact("reversed.bin", content[::-1])


@shared_task(name="probe.save_and_hang")
def save_and_hang(gate: str) -> int:
    """Make a file; in the first attempt, hang after it."""
    attempt = attempt_of(current_task.request)
    save_artefact("made.txt", f"attempt {attempt}".encode())
    if attempt == 1:
        Path(gate).touch()
        time.sleep(600)
    return attempt
