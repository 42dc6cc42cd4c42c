"""The service under chaos: its processes, a supervisor that starts them again, and an eye on the job table."""

import json
import secrets
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
from flask import Flask
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from task_app.jobs.models import Job, Worker
from task_app.jobs.runtime import runtime
from task_app.jobs.states import FINAL, WAITING
from task_app.maintenance.rescuer import WATCHED_BEATS

from ..acceptance.stack import Stack, until
from . import ledger, ports
from .book import Book
from .parts import Parts

WORKERS = ("worker-1", "worker-2")
LOOK = 0.1  # seconds between two looks at the table
TICK_SECONDS = 1.0
#: What a process says when it won't start without its database. Whoever started it tries again; it isn't a crash.
NOT_WITHOUT_DATABASE = "can't reach the database"
#: What Celery says when a pool child was killed before the pool was up: its own decision, and nothing was taken yet.
NOT_WITHOUT_POOL = "Could not start worker processes"
SHORT_LOG = 12  # lines; more have been written by whoever did start

T = TypeVar("T")
_c = Job.__table__.c


class World(Stack):
    """Web server, two workers and beat on the parts of one pair. Whatever dies is started again, as by systemd."""

    def __init__(self, folder: Path, parts: Parts) -> None:
        self.parts = parts
        self.book = Book()
        self.stop_all = threading.Event()
        self.refused_starts = 0
        self._reserved = ports.reserve()
        self.address = f"http://127.0.0.1:{ports.number(self._reserved)}"
        self.ledger_file = folder / "ledger"
        plan = {"tick": {"task": "chaos.tick", "schedule": TICK_SECONDS}}
        super().__init__(
            folder,
            parts.database_url,
            parts.broker_url,
            f"chaos-{secrets.token_hex(4)}",
            FLASK_DEAF_AFTER="5",
            FLASK_STUCK_AFTER="25",
            FLASK_CELERY__beat_schedule=json.dumps(plan),
            **{ledger.VARIABLE: str(self.ledger_file)},
        )
        self.commands: dict[str, list[str]] = {
            "web": ["gunicorn", "--bind", self.address[7:], "--threads", "16", "tests.chaos.wsgi:app"],
            "beat": ["celery", "-A", "tests.chaos.entry", "beat", "-l", "INFO"],
            **{
                name: ["celery", "-A", "tests.chaos.entry", "worker", "-n", f"{name}@chaos", "-c", "2", "-l", "INFO"]
                for name in WORKERS
            },
        }
        self.members: dict[str, subprocess.Popen[bytes]] = {}
        self._expected_ends: set[int] = set()
        self._retired: set[str] = set()
        self._lock = threading.Lock()
        self._supervisor = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def _app(self, database_url: str, broker_url: str | None, queue: str) -> Flask:
        from . import jobs  # registers the suite's tasks with every Celery app  # noqa: F401

        return super()._app(database_url, broker_url, queue)

    # -- processes -----------------------------------------------------------------------------------------------

    def bring_up(self) -> None:
        """Start everything and wait until it works."""
        for name in self.commands:
            self.members[name] = self.start(*self.commands[name])
        self._supervisor.start()
        until(self._web_is_ready, "the web server")
        for name in WORKERS:
            until(lambda name=name: self.worker_id(name), name)  # type: ignore[misc]

    def _web_is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _supervise(self) -> None:
        quick: dict[str, float] = {}
        while not self.stop_all.wait(0.05):
            with self._lock:
                for name, process in list(self.members.items()):
                    if process.poll() is None or name in self._retired or time.monotonic() < quick.get(name, 0):
                        continue
                    if process.pid not in self._expected_ends:
                        self._note_end(name, process)
                        quick[name] = time.monotonic() + 1  # no busy loop of restarts
                    self.members[name] = self.start(*self.commands[name])

    def _note_end(self, name: str, process: subprocess.Popen[bytes]) -> None:
        log = self.folder / f"process-{self.processes.index(process)}.log"
        lines = log.read_text(errors="replace").splitlines()
        without_database = len(lines) <= SHORT_LOG and any(NOT_WITHOUT_DATABASE in line for line in lines)
        if without_database or any(NOT_WITHOUT_POOL in line for line in lines):
            self.refused_starts += 1
        else:
            last = next(
                (line for line in reversed(lines) if "Unrecoverable" in line), lines[-1] if lines else "nothing"
            )
            self.book.surprise(f"{name} ended by itself with {process.returncode}, saying {last!r} in {log}")

    def kill_member(self, name: str) -> None:
        """Kill -9 a process and all it has started; the supervisor starts it again."""
        with self._lock:
            process = self.members[name]
            self._expected_ends.add(process.pid)
            if process.poll() is None:
                self.kill(process)

    def retire(self, name: str) -> None:
        """End a process for good."""
        with self._lock:
            self._retired.add(name)
            process = self.members[name]
        if process.poll() is None:
            self.stop(process)

    def pool_children(self, name: str) -> list[psutil.Process]:
        """Return the processes that run a worker's jobs, oldest first."""
        try:
            return sorted(psutil.Process(self.members[name].pid).children(), key=lambda child: child.pid)
        except psutil.NoSuchProcess:
            return []

    def signal_tree(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process and to all it has started, itself first."""
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.members[name].pid)
            parent.send_signal(number)
            for child in parent.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(number)

    def close(self) -> None:
        """End everything; also what is stopped."""
        self.stop_all.set()
        if self._supervisor.ident is not None:
            self._supervisor.join()
        self.parts.broker.thaw()
        super().close()
        self._reserved.close()

    @property
    def lease(self) -> float:
        """Return the seconds after which a silent worker is given up, and some more."""
        timeout = float(self.environment["FLASK_WORKER_TIMEOUT"])
        return timeout + (WATCHED_BEATS + 2) * float(self.environment["FLASK_HEARTBEAT_INTERVAL"])

    # -- looking; never fails because of a fault ------------------------------------------------------------------

    def ask(self, question: Callable[[Connection], T], patience: float = 60) -> T:
        """Ask the database, again and again while it is away."""
        deadline = time.monotonic() + patience
        while True:
            try:
                with self.app.app_context(), runtime().engine.connect() as connection:
                    return question(connection)
            except SQLAlchemyError:
                if time.monotonic() > deadline or self.stop_all.is_set():
                    raise
                self.stop_all.wait(LOOK)

    def worker_id(self, name: str) -> str | None:
        """Return the id under which a worker's present process is known, once it is."""
        pid = self.members[name].pid
        known = select(Worker.id).where(Worker.pid == pid, Worker.stopped_at.is_(None))
        return self.ask(lambda connection: connection.execute(known).scalars().first())

    def running(self, worker_id: str | None = None, tasks: tuple[str, ...] = ()) -> list[str]:
        """Return the ids of the jobs that run now, on one worker or on any, of these tasks or of all."""
        wanted = select(_c.id).where(_c.state.not_in((*WAITING, *FINAL)))
        if tasks:
            wanted = wanted.where(_c.task.in_(tasks))
        if worker_id is not None:
            wanted = wanted.where(_c.worker_id == worker_id)
        return self.ask(lambda connection: list(connection.execute(wanted.order_by(_c.id)).scalars()))

    def unfinished(self, ids: list[str] | None = None) -> list[str]:
        """Return the ids of the jobs that have not ended: of all, or of these."""
        wanted = select(_c.id).where(_c.finished_at.is_(None))
        if ids is not None:
            wanted = wanted.where(_c.id.in_(ids))
        return self.ask(lambda connection: list(connection.execute(wanted).scalars()))

    def finished(self) -> int:
        """Count the jobs that have ended."""
        wanted = select(func.count()).select_from(Job).where(_c.finished_at.is_not(None))
        return int(self.ask(lambda connection: connection.execute(wanted).scalar_one()))

    def published(self) -> list[str]:
        """Return the ids of all jobs that were ever put on the broker as they are now."""
        wanted = select(_c.id).where(_c.published_at.is_not(None)).order_by(_c.id)
        return self.ask(lambda connection: list(connection.execute(wanted).scalars()))

    def rows(self) -> list[dict[str, Any]]:
        """Return the whole table."""
        return self.ask(lambda c: [dict(row) for row in c.execute(select(Job.__table__)).mappings()])

    def worker_counters(self) -> dict[str, int]:
        """Return what the workers have counted: messages dropped, writes refused, junk."""
        counters = Worker.__table__.c
        sums = select(*(func.sum(counters[name]).label(name) for name in ("dropped", "refused", "junk")))
        return {k: int(v or 0) for k, v in self.ask(lambda c: c.execute(sums).mappings().one()).items()}
