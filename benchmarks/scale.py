"""`make bench-scale`: what everything costs on a table with millions of rows, beside the same on an almost empty one.

python -m benchmarks.scale                   # 5 million rows: a quarter of an hour
python -m benchmarks.scale --rows 200000 --rounds 1
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import upgrade
from redis import Redis
from sqlalchemy import Connection, Engine

from task_app import create_app
from task_app.jobs import lists, publishing, queries, service, transitions
from task_app.jobs.lists import Filter
from task_app.jobs.rows import new_row
from task_app.jobs.runtime import runtime, utcnow
from task_app.jobs.submission import Submission
from tests.chaos.servers import server

from . import past, report
from .contestants import OURS
from .submits import serving, submits
from .throughput import Arena, run_round_in

Figures = dict[str, Any]
#: How often each move and each list is timed, on each table in turn.
SAMPLES = 200
#: Rows of the table that stands for an empty one: enough for full pages.
FEW = 1_000


@dataclass
class Place:
    """One table: its app, its servers, and the times found so far (ms)."""

    app: Flask
    sql_url: str
    redis_url: str
    times: dict[str, list[float]] = field(default_factory=dict)

    @property
    def engine(self) -> Engine:
        """The kernel's engine."""
        with self.app.app_context():
            return runtime().engine

    def time(self, name: str, do: Callable[[], object]) -> None:
        """Do it once and keep how long it took."""
        begin = time.perf_counter()
        do()
        self.times.setdefault(name, []).append(1000 * (time.perf_counter() - begin))


@contextmanager
def place_with(rows: int) -> Iterator[Place]:
    """Start servers and fill the table."""
    with server("postgresql") as sql, server("redis") as redis, tempfile.TemporaryDirectory() as folder:
        settings = {"INSTANCE_PATH": folder, "SECRET_KEY": "benchmark", "SQLALCHEMY_DATABASE_URI": sql.url}
        app = create_app({**settings, "CELERY_BROKER_URL": redis.url})
        with app.app_context():
            upgrade()
        place = Place(app, sql.url, redis.url)
        past.fill(place.engine, rows)
        yield place


def a_job(place: Place) -> None:
    """Lead one job from its submit to its end, as the web process and the workers do, and time each move."""
    engine, now = place.engine, utcnow()
    row = new_row(task="add", args="[1, 2]", kwargs="{}", queue="celery", priority=5, dispatch_at=now)
    moves: dict[str, Callable[[Connection], object]] = {
        "submit": lambda c: transitions.insert_jobs(c, [row]),
        "mark": lambda c: transitions.mark_published(c, [(row["id"], 1)], now),
        "claim": lambda c: transitions.claim(c, row["id"], 1, worker="w@host", worker_id="life-0", now=now),
        "report": lambda c: transitions.report(c, row["id"], 1, state="PROGRESS", meta="1", claimed_at=now),
        "finish": lambda c: transitions.succeed(
            c, row["id"], 1, result="3", children=None, claimed_at=now, now=utcnow()
        ),
        "show": lambda c: queries.get(c, row["id"]),
    }
    with engine.connect() as connection:
        for name, move in moves.items():
            place.time(name, lambda move=move: move(connection))  # type: ignore[misc]


def maintenance(place: Place, worker_ids: list[str]) -> None:
    """Run each look of the maintenance services once, and one batch each of dispatching and pruning."""
    with place.app.app_context(), place.engine.connect() as connection:
        service.submit_many([Submission(task="add", args="[1, 2]")] * 100)
        place.time("dispatch 100", lambda: publishing.dispatch(100))
        now = utcnow()
        looks: dict[str, Callable[[], object]] = {
            "look for due jobs": lambda: queries.anything_due(connection, now - timedelta(hours=1)),
            "look for dead workers' jobs": lambda: queries.held_by(connection, worker_ids, 100),
            "look for nobody's jobs": lambda: queries.held_by_nobody(connection, now, 100),
            "look for lost messages": lambda: [
                queries.published_before(connection, now, queue, 500)
                for queue in queries.queues_with_published(connection)
            ],
            "look for expired jobs": lambda: queries.expired(connection, now, 100),
            "look for orphans": lambda: queries.steps_waiting(connection, service.BEGINNING, now, now, 1000),
        }
        for name, look in looks.items():
            place.time(name, look)
        old = now - timedelta(days=365 * past.YEARS - 1)
        place.time("look for old jobs", lambda: queries.prunable(connection, "SUCCESS", old, limit=500))


def wanted(rng: random.Random) -> dict[str, Filter]:
    """Return a filter of each kind, of other values each time."""
    task, queue = f"task.{rng.randrange(past.TASKS)}", f"queue-{rng.randrange(past.QUEUES)}"
    worker, day = f"w{rng.randrange(past.WORKERS)}@host", utcnow() - timedelta(days=rng.randrange(1, 1000))
    return {
        "all": Filter(),
        "status": Filter(status=rng.choice(["SUCCESS", "FAILURE", "REVOKED", "PENDING", "RETRY"])),
        "task": Filter(task=task),
        "queue": Filter(queue=queue),
        "worker": Filter(worker=worker),
        "tag": Filter(tag=rng.choice(["red", "batch-1"])),
        "day": Filter(created_after=day, created_before=day + timedelta(days=1)),
        "task and status": Filter(task=task, status="FAILURE"),
        "task and queue": Filter(task=task, queue=queue),
        "worker and queue": Filter(worker=worker, queue=queue),
        "tag and status": Filter(tag="red", status="REVOKED"),
        "task, and a queue without any": Filter(task=task, queue="nobody"),
        "four, in a month": Filter(
            task=task, queue=queue, worker=worker, status="SUCCESS", created_after=day - timedelta(days=30)
        ),
    }


def look_at_lists(place: Place, rng: random.Random) -> None:
    """Show a page by each filter, and the counts."""
    with place.engine.connect() as connection:
        for name, filter_ in wanted(rng).items():
            place.time(f"list: {name}", lambda filter_=filter_: lists.page(connection, filter_, limit=50))  # type: ignore[misc]
        place.time("counts", lambda: lists.counts(connection))


def whole(place: Place, jobs: int) -> tuple[float, float]:
    """Return no-op jobs per second of real workers, and the 99th percentile (ms) of submits by HTTP."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder), place.redis_url, place.sql_url)
        rate = run_round_in(arena, OURS, "noop", jobs).rate
        with serving(arena, OURS, "task_app.wsgi:app") as port:
            _, slowest = submits(port, ours=True)
    _forget_unfinished(place)
    return rate, slowest


def _forget_unfinished(place: Place) -> None:
    """Nobody does what the submits left behind."""
    Redis.from_url(place.redis_url).flushall()
    with place.engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM job WHERE finished_at IS NULL AND due_at IS NULL")


def measure(rows: int, rounds: int, jobs: int) -> Figures:
    """Measure everything on both tables, in turn."""
    with ExitStack() as open_places:
        places = {name: open_places.enter_context(place_with(n)) for name, n in (("few", FEW), ("many", rows))}
        rng = random.Random(1)  # noqa: S311 - values to look for, no secrets
        for sample in range(SAMPLES):
            for place in list(places.values())[:: 1 if sample % 2 else -1]:
                a_job(place)
                look_at_lists(place, rng)
                if sample % 10 == 0:
                    maintenance(place, ["life-1", "life-2"])
        found: Figures = {"rows": rows, "few": FEW}
        for name, place in places.items():
            _forget_unfinished(place)
            found[f"{name}_table"] = {what: _summary(times) for what, times in place.times.items()}
        wholes: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
        for turn in range(rounds):
            for name in list(places)[:: 1 if turn % 2 else -1]:
                wholes[name].append(whole(places[name], jobs))
                print(f"  round {turn + 1}, {name}: {wholes[name][-1]}", flush=True)
        for name, pairs in wholes.items():
            found[f"{name}_table"]["whole"] = {
                "rate": statistics.median(rate for rate, _ in pairs),
                "p99": statistics.median(slowest for _, slowest in pairs),
            }
    return found


def _summary(times: list[float]) -> Figures:
    ordered = sorted(times)
    return {"p50": statistics.median(ordered), "p95": ordered[int(len(ordered) * 0.95)]}


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=3000, help="no-op jobs a round")
    options = parser.parse_args()
    kept = json.loads(report.FIGURES.read_text()) if report.FIGURES.exists() else {}
    figures = measure(options.rows, options.rounds, options.jobs)
    kept["scale"] = {"figures": figures, "about": report.about(options.rounds)}
    report.FIGURES.write_text(json.dumps(kept, indent=1) + "\n")
    report.write(kept)


if __name__ == "__main__":
    main()
