"""`python -m task_app.run`, what `make run` does: everything comes up together and goes down together."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from task_app import embedded

from .stack import ROOT, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and the embedded broker are those of Unix")

READY = re.compile(r"task_app is ready: (http://\S+)")


class Run:
    """One supervisor under test, and all it has started."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.instance = folder / "instance"
        self.log = folder / f"run-{time.monotonic_ns()}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("FLASK_", "CELERY_"))}
        inherited.pop("DATABASE_URL", None)
        with self.log.open("wb") as log:
            self.supervisor = psutil.Popen(
                [sys.executable, "-m", "task_app.run"],
                cwd=ROOT,
                env={
                    **inherited,
                    "FLASK_INSTANCE_PATH": str(self.instance),
                    "FLASK_SKIP_DOTENV": "1",
                    "HOST": "127.0.0.1",
                    "PORT": "0",
                    "WORKER_CONCURRENCY": "1",
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.family: list[psutil.Process] = []

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def until_ready(self) -> "Run":
        def look() -> list[str]:
            assert self.supervisor.poll() is None, self.output
            return READY.findall(self.output)

        (self.address,) = until(look, "the line that says it is ready")
        broker = embedded.status(str(self.instance))
        assert broker is not None
        self.family = [*self.supervisor.children(recursive=True), psutil.Process(broker.pid)]
        return self

    def request(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=70) as response:
            answer: dict[str, Any] = json.load(response)
            return answer

    def submit(self, task: str, **kwargs: Any) -> str:
        return str(self.request("/tasks", {"task": task, "kwargs": kwargs})["task_id"])

    def child(self, word: str) -> psutil.Process:
        return next(child for child in self.supervisor.children() if word in child.cmdline())

    def leftovers(self) -> list[psutil.Process]:
        return [process for process in self.family if process.is_running() and process.status() != "zombie"]

    def until_gone(self) -> int:
        status: int = self.supervisor.wait(timeout=60)
        until(lambda: not self.leftovers(), "the last process to end", patience=10)
        return status

    def close(self) -> None:
        for process in [self.supervisor, *self.supervisor.children(recursive=True), *self.leftovers()]:
            if process.is_running():
                process.kill()
        self.supervisor.wait(timeout=60)
        embedded.stop(str(self.instance))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    runs: list[Run] = []

    def start(**environment: str) -> Run:
        runs.append(Run(tmp_path, **environment))
        return runs[-1]

    yield start
    for run in runs:
        if run.supervisor.poll() is None or run.leftovers():
            run.close()


def test_a_job_is_done_and_is_still_there_after_ctrl_c_and_a_second_start(start: Any) -> None:
    run = start().until_ready()
    job_id = run.submit("add", a=2, b=3)
    job = run.request(f"/tasks/{job_id}?wait=30")
    assert (job["task_status"], job["task_result"]) == ("SUCCESS", 5)
    assert all(os.getpgid(process.pid) != run.supervisor.pid for process in run.family)
    os.killpg(run.supervisor.pid, signal.SIGINT)  # a terminal's Ctrl-C goes to the whole foreground group
    assert run.until_gone() == 0
    assert "Traceback" not in run.output

    run = start().until_ready()
    assert run.request(f"/tasks/{job_id}") == job
    run.supervisor.send_signal(signal.SIGTERM)
    assert run.until_gone() == 0
    assert "Traceback" not in run.output


def test_open_streams_and_long_jobs_do_not_hold_up_the_end_for_long(start: Any) -> None:
    run = start().until_ready()
    job_id = run.submit("sleep_task", seconds=600)
    until(lambda: run.request(f"/tasks/{job_id}")["task_status"] == "STARTED", "the job to start")
    stream = urllib.request.urlopen(f"{run.address}/tasks/{job_id}/events", timeout=30)
    stream.readline()
    begin = time.monotonic()
    run.supervisor.send_signal(signal.SIGTERM)
    assert run.until_gone() == 0
    assert time.monotonic() - begin < 20
    stream.close()


@pytest.mark.parametrize("name", ["gunicorn", "worker", "beat"])
def test_the_end_of_one_child_is_the_end_of_all(start: Any, name: str) -> None:
    run = start().until_ready()
    run.child(name).kill()
    assert run.until_gone() == 1
    shown = "web" if name == "gunicorn" else name
    assert f"{shown} ended unexpectedly (exit status -9)" in run.output


def test_nothing_outlives_a_killed_supervisor_but_the_broker(start: Any) -> None:
    run = start().until_ready()
    broker = run.family.pop()
    run.supervisor.kill()
    run.until_gone()
    assert broker.is_running()
    embedded.stop(str(run.instance))


def test_a_dead_broker_is_started_again(start: Any) -> None:
    run = start().until_ready()
    run.family[-1].kill()
    until(lambda: embedded.status(str(run.instance)), "the broker to come back")
    job_id = run.submit("add", a=1, b=1)
    assert run.request(f"/tasks/{job_id}?wait=60")["task_status"] == "SUCCESS"


def test_another_users_broker_is_left_running(start: Any) -> None:
    run = start().until_ready()
    broker = run.family.pop()
    with embedded._Home(str(run.instance)).client() as neighbour:
        neighbour.ping()
        run.supervisor.send_signal(signal.SIGINT)
        assert run.until_gone() == 0
        assert neighbour.ping()
    assert broker.is_running()
    embedded.stop(str(run.instance))


def test_a_taken_port_is_one_line(start: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = start(PORT=str(port))
        assert run.supervisor.wait(timeout=60) == 1
    assert run.output == f"Error: PORT: {port} is taken on 127.0.0.1\n"
    assert embedded.status(str(run.instance)) is None
