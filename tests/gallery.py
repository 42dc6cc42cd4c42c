"""What tests of the gallery's tasks share: files to work on, and a cancel in the middle."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from celery import Celery
from flask import Flask

from task_app.errors import IllegalMove, JobCancelled
from task_app.files import service as files
from task_app.files.runtime import files_runtime
from task_app.jobs import service
from task_app.jobs.states import State, is_final
from task_app.jobs.view import JobView
from task_app.testing.attempts import run_attempt


class CancelAt:
    """A `Tick` of a job that is cancelled when it reports for the nth time."""

    def __init__(self, number: int) -> None:
        self.reports = 0
        self._number = number

    def __call__(self, current: float, total: float | None = None, message: str | None = None) -> None:
        self.reports += 1
        if self.reports == self._number:
            raise JobCancelled("cancelled")


MEASURE = """
import re, sys
from pathlib import Path
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
{preparation}
before = peak()
{work}
print(peak() - before)
"""


def megabytes_for(preparation: str, work: str, *arguments: str) -> int:
    """Return by how many MB the memory of a Python of its own grows at most while it does some work.

    Not `resource.getrusage`: what it calls the peak of a process is at first that of the process which started it.
    """
    program = MEASURE.format(preparation=preparation, work=work)
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def stored(app: Flask, content: bytes | str, name: str = "file") -> str:
    """Keep a file and return its id."""
    with app.app_context():
        return files.store(content.encode() if isinstance(content, str) else content, name).id


def content_of(app: Flask, file_id: str) -> bytes:
    """Return the bytes of a file."""
    with app.app_context(), files.open_file(file_id) as stream:
        return stream.read()


def run(app: Flask, task: str, **kwargs: Any) -> JobView:
    """Submit a job and let its first attempt run."""
    return run_attempt(app, submitted(app, task, **kwargs))


def submitted(app: Flask, task: str, **kwargs: Any) -> str:
    """Submit a job as Python code does, and return its id."""
    celery: Celery = app.extensions["celery"]
    with app.app_context():
        return str(celery.tasks[task].apply_async(kwargs=kwargs).id)


def failure(job: JobView) -> tuple[str, str]:
    """Return type and text of the error of a job that has failed for good."""
    assert job.state == State.FAILURE, (job.state, job.result)
    assert job.error is not None
    return job.error["type"], job.error["message"]


def artefacts(job: JobView) -> dict[str, str]:
    """Return the ids of what a job has made, by name."""
    return {made["name"]: made["id"] for made in job.artefacts}


def result_of(job: JobView) -> Any:
    """Return the result of a job that has succeeded."""
    assert job.state == State.SUCCESS, json.dumps(job.error)
    return job.result


@contextmanager
def store_away(app: Flask) -> Iterator[None]:
    """Have the store of files refuse everything for a while: there is something else in its folder's place."""
    with app.app_context():
        folder = Path(files_runtime().store.url)
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}.away")
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


def run_with_store_away_at_first(app: Flask, task: str, **kwargs: Any) -> JobView:
    """Run a job twice: it must ask for the second attempt, because the store of files is away in the first."""
    job_id = submitted(app, task, **kwargs)
    with store_away(app):
        job = run_attempt(app, job_id)
    assert job.state == State.RETRY, (job.state, job.error)
    assert artefacts(job) == {}
    return run_attempt(app, job_id)


@contextmanager
def cancelled_when_it_reports(app: Flask, job_id: str) -> Iterator[None]:
    """Cancel a job as soon as it has said how far it is, while the test runs it."""
    app.config["PROGRESS_INTERVAL"] = 0.0
    over = threading.Event()

    def watch() -> None:
        with app.app_context():
            while not over.wait(0.005):
                job = service.get(job_id)
                if job.state == State.PROGRESS or is_final(job.state):
                    with suppress(IllegalMove):
                        service.cancel(job_id)
                    return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
