"""A running service for tests: a database, a broker, real worker and web processes, and an app to talk to them."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from celery import Celery
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import select

from task_app import create_app, embedded
from task_app.errors import JobNotFound
from task_app.jobs import lists, service
from task_app.jobs.models import Worker
from task_app.jobs.runtime import runtime
from task_app.jobs.view import JobView
from task_app.jobs.workers import WorkerView, overview

from .. import services
from ..conftest import dispose

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds; generous, because only a failing test waits this long

#: Each database and each broker. The two never speak with each other, so one test of each finds nearly everything.
PAIRS = [("sqlite", "embedded"), ("postgresql", "redis"), ("mariadb", "rabbitmq")]
#: For tests that wait long; the chaos suite has embedded parts as well.
SERVER_PAIRS = PAIRS[1:]
EACH_SERVER_PAIR = pytest.mark.parametrize(
    ("database", "broker"), SERVER_PAIRS, ids=["+".join(pair) for pair in SERVER_PAIRS]
)
EACH_PAIR = pytest.mark.parametrize(("database", "broker"), PAIRS, ids=["+".join(pair) for pair in PAIRS])

T = TypeVar("T")


def until(look: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Look until something true comes back, and return it; fail the test after `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain for {what}; last seen: {found!r}")
        time.sleep(0.02)


class Stack:
    """One service under test. Its settings reach the processes through the environment, as a user's would."""

    def __init__(self, folder: Path, database_url: str, broker_url: str | None, queue: str, **settings: str) -> None:
        self.folder = folder
        self.queue = queue
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **{
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("FLASK_", "CELERY_", "DATABASE_"))
            },
            "FLASK_INSTANCE_PATH": str(folder),
            "FLASK_SKIP_DOTENV": "1",
            "FLASK_SECRET_KEY": "only for tests",
            "FLASK_AUTH": "off",
            "DATABASE_URL": database_url,
            "FLASK_JOB_DEFAULT_QUEUE": queue,
            "FLASK_WORKER_TIMEOUT": "4",
            "FLASK_HEARTBEAT_INTERVAL": "0.5",
            "FLASK_DISPATCH_INTERVAL": "0.2",
            "FLASK_DISPATCH_GRACE": "1",
            "FLASK_LOST_MESSAGE_AFTER": "2",
            "FLASK_CANCEL_GRACE": "1",
            "FLASK_DEAF_AFTER": "2",
            **({"CELERY_BROKER_URL": broker_url} if broker_url else {}),
            **settings,
        }
        self.app: Flask = self._app(database_url, broker_url, queue)
        with self.app.app_context():
            upgrade()

    def _app(self, database_url: str, broker_url: str | None, queue: str) -> Flask:
        app = create_app(
            {
                "INSTANCE_PATH": str(self.folder),
                "SECRET_KEY": "only for tests",
                "SQLALCHEMY_DATABASE_URI": database_url,
                "JOB_DEFAULT_QUEUE": queue,
                "DISPATCH_GRACE": 1,
                **({"CELERY_BROKER_URL": broker_url} if broker_url else {}),
            }
        )
        from . import probes  # noqa: F401 - registers its tasks with every Celery app, this one too

        return app

    @property
    def celery(self) -> Celery:
        """The Celery app, in this process: for `delay()`, `AsyncResult` and canvas."""
        celery: Celery = self.app.extensions["celery"]
        celery.set_default()
        celery.finalize(auto=True)
        return celery

    def task(self, name: str) -> Any:
        """Return a task by its name."""
        return self.celery.tasks[name]

    # -- processes -----------------------------------------------------------------------------------------------

    def start(self, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a Python module as a process of its own, with its output in the folder."""
        with (self.folder / f"process-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**self.environment, **more},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start_worker(self, *options: str, name: str = "w1", concurrency: int = 2) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it takes jobs."""
        node = f"{name}-{self.queue}@test"
        process = self.start(
            "celery",
            "-A",
            "tests.acceptance.entry",
            "worker",
            "-n",
            node,
            "-c",
            str(concurrency),
            "-l",
            "INFO",
            *options,
        )
        until(lambda: self._alive(process, node), f"worker {node}")
        return process

    def _alive(self, process: subprocess.Popen[bytes], node: str) -> bool:
        if process.poll() is not None:
            raise AssertionError(f"the worker ended with {process.returncode}:\n{self.output()}")
        with self.app.app_context(), runtime().engine.connect() as connection:
            pids = select(Worker.pid).where(Worker.name == node, Worker.stopped_at.is_(None))
            return process.pid in connection.execute(pids).scalars().all()

    def start_web(self, entry: str = "task_app.wsgi:app", port: int = 0, **more: str) -> str:
        """Start the web server, on a free port if none is given, and wait until it answers; returns its address."""
        port = port or free_port()
        self.start("gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "16", entry, **more)
        until(lambda: answers(port), "the web server")
        return f"http://127.0.0.1:{port}"

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a process and all it has started, as a power cut would."""
        for member in self._family(process):
            with suppress(psutil.NoSuchProcess):
                member.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)

    def freeze(self, process: subprocess.Popen[bytes]) -> None:
        """Stop a process and all it has started, as a machine that is suspended."""
        for member in self._family(process):
            member.suspend()

    def thaw(self, process: subprocess.Popen[bytes]) -> None:
        """Let it go on."""
        for member in self._family(process):
            member.resume()

    @staticmethod
    def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        head = psutil.Process(process.pid)
        return [head, *head.children(recursive=True)]

    def stop(self, process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        """Ask a process to end and wait for it; returns its exit code."""
        process.send_signal(number)
        return process.wait(PATIENCE)

    def output(self) -> str:
        """Return what all processes printed."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("process-*.log")))

    def close(self) -> None:
        """End everything that is still running."""
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)
        if self.app.config["EMBEDDED_BROKER"]:
            embedded.stop(self.app.instance_path)
        dispose(self.app)

    # -- looking -------------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobView:
        """Return a job's row as it is now."""
        with self.app.app_context():
            return service.get(job_id)

    def is_running(self, job_id: str, attempt: int) -> bool:
        """Say whether a worker is at this attempt of the job."""
        job = self.job(job_id)
        return job.attempt == attempt and job.state in ("STARTED", "PROGRESS")

    def until_state(self, job_id: str, *states: str, patience: float = PATIENCE) -> JobView:
        """Wait until a job is in one of these states; it may not be known yet."""

        def look() -> JobView | None:
            try:
                job = self.job(job_id)
            except JobNotFound:
                return None
            return job if job.state in states else None

        found = until(look, f"job {job_id} to be {' or '.join(states)}", patience)
        assert found is not None
        return found

    def until_ended(self, job_id: str, patience: float = PATIENCE) -> JobView:
        """Wait until a job has ended."""
        return self.until_state(job_id, "SUCCESS", "FAILURE", "REVOKED", patience=patience)

    def workers(self) -> list[WorkerView]:
        """Return every worker on record, latest first, as `flask maintenance status` sees them."""
        second = timedelta(seconds=1)
        with self.app.app_context(), runtime().engine.connect() as connection:
            return overview(connection, interval=0.5 * second, timeout=4 * second, patience=2 * second)

    def dropped(self) -> int:
        """Count the messages that found nothing to claim."""
        return sum(worker.dropped for worker in self.workers())

    def counts(self) -> dict[str, int]:
        """Count the jobs by state."""
        with self.app.app_context(), runtime().engine.connect() as connection:
            return {state: number for state, number in lists.counts(connection).items() if number}


@contextmanager
def running_on(folder: Path, database_url: str, broker_url: str | None, **settings: str) -> Iterator[Stack]:
    """Yield a stack on servers of the test's own, without processes yet; end it afterwards."""
    stack = Stack(folder, database_url, broker_url, f"test-{uuid.uuid4().hex[:12]}", **settings)
    try:
        yield stack
    finally:
        stack.close()


@contextmanager
def running(folder: Path, database: str, broker: str, **settings: str) -> Iterator[Stack]:
    """Yield a stack on fresh parts, without processes yet; end it afterwards."""
    with services.fresh_database(database, folder) as database_url, services.fresh_queue(broker) as (broker_url, queue):
        stack = Stack(folder, database_url, broker_url, queue, **settings)
        try:
            yield stack
        finally:
            stack.close()


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Say whether somebody accepts connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
