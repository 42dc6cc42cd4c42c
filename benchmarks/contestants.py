"""Who is measured: how each is filled with jobs and how its workers are started, two processes each."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: Where peers are installed: a virtual environment of their own.
PEERS = ROOT / ".venv-bench"


@dataclass(frozen=True)
class Contestant:
    """One way to run background jobs."""

    name: str
    title: str
    #: What a job leaves behind that can be asked for afterwards.
    keeps: str
    module: str
    worker: tuple[str, ...]
    processes: int = 1  # how many of those commands; together they run two jobs at once
    environment: Mapping[str, str] = field(default_factory=dict)
    ours: bool = False

    @property
    def python(self) -> str:
        """The interpreter that has it installed."""
        return sys.executable if self.ours else str(PEERS / "bin" / "python")

    @property
    def folder(self) -> Path:
        """Where its processes run."""
        return ROOT if self.ours else HERE / "peers"

    def variables(self, redis_url: str, sql_url: str, ticks: Path, instance: Path) -> dict[str, str]:
        """Return the environment of all its processes."""
        inherited = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "LC_ALL") if key in os.environ}
        own = (
            {
                "FLASK_INSTANCE_PATH": str(instance),
                "FLASK_SKIP_DOTENV": "1",
                "FLASK_SECRET_KEY": "benchmark",
                "FLASK_AUTH": "off",
                "DATABASE_URL": sql_url,
                "CELERY_BROKER_URL": redis_url,
            }
            if self.ours
            else {"PYTHONPATH": str(HERE)}
        )
        return {
            **inherited,
            "PYTHONWARNINGS": "ignore",
            "BENCH_REDIS": redis_url,
            "BENCH_SQL": sql_url,
            "BENCH_TICKS": str(ticks),
            **own,
            **self.environment,
        }

    def submit(self, workload: str, number: int) -> list[str]:
        """Return the command that makes that many jobs."""
        return [self.python, "-m", self.module, workload, str(number)]

    def work(self) -> list[list[str]]:
        """Return the commands of its workers."""
        return [[self.python, "-m", *self.worker]] * self.processes


def _celery(results: str, title: str, keeps: str) -> Contestant:
    worker = ("celery", "-A", "celery_app", "worker", "-c", "2", "-l", "WARNING")
    return Contestant(f"celery-{results}", title, keeps, "celery_app", worker, environment={"BENCH_RESULTS": results})


OURS = Contestant(
    "task_app",
    "this service",
    "row in SQL; acceptance and outcome flushed",
    "benchmarks.ours",
    ("celery", "-A", "benchmarks.ours", "worker", "-c", "2", "-l", "WARNING"),
    ours=True,
)
PEER_LIST = (
    _celery("none", "Celery, no results", "nothing"),
    _celery("redis", "Celery, Redis results, tracking, late acks", "state in Redis"),
    _celery("sql", "Celery, SQL result backend", "outcome in SQL"),
    Contestant(
        "rq",
        "RQ, default worker",
        "state in Redis",
        "rq_jobs",
        ("rq.cli", "worker", "--quiet", "--url", "{redis}"),
        processes=2,
    ),
    Contestant(
        "rq-simple",
        "RQ, SimpleWorker",
        "state in Redis",
        "rq_jobs",
        ("rq.cli", "worker", "--quiet", "--worker-class", "rq.SimpleWorker", "--url", "{redis}"),
        processes=2,
    ),
    Contestant(
        "dramatiq",
        "dramatiq, Redis results",
        "result in Redis",
        "dramatiq_jobs",
        ("dramatiq", "dramatiq_jobs", "--processes", "2", "--threads", "1"),
    ),
    Contestant(
        "huey",
        "huey, Redis results",
        "result in Redis",
        "huey_jobs",
        ("huey.bin.huey_consumer", "huey_jobs.huey", "-w", "2", "-k", "process", "-q"),
    ),
    Contestant(
        "taskiq",
        "taskiq, Redis results",
        "result in Redis",
        "taskiq_jobs",
        ("taskiq", "worker", "taskiq_jobs:broker", "--workers", "2", "--log-level", "WARNING"),
    ),
    Contestant(
        "procrastinate",
        "procrastinate",
        "row in PostgreSQL",
        "procrastinate_jobs",
        ("procrastinate", "--app=procrastinate_jobs.app", "worker", "--concurrency=1"),
        processes=2,
    ),
)
EVERYBODY = {contestant.name: contestant for contestant in (OURS, *PEER_LIST)}
