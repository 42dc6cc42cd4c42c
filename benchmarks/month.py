"""A table with a past of a month, on any database: ended jobs, families, retries, and some that wait or run."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from flask import Flask
from sqlalchemy import Connection, insert, select, text

from task_app.jobs import faults, transitions
from task_app.jobs.database import transaction
from task_app.jobs.ids import new_id
from task_app.jobs.models import Job, JobTag, Worker
from task_app.jobs.runtime import runtime
from task_app.maintenance.roller import Roller

DAYS = 30
BATCH = 10_000
TASKS, QUEUES, WORKERS = 40, 6, 10
#: Of a hundred jobs, how many ended so.
OUTCOMES = ["SUCCESS"] * 90 + ["FAILURE"] * 8 + ["REVOKED"] * 2
WAITING, RUNNING, LATER = 300, 20, 5_000
#: One in so many bears a tag, was sent by another, was retried.
TAGGED_IN, SENT_IN, RETRIED_IN = 20, 50, 17
ERRORS = ("ValueError", "KeyError", "TimeoutError", "ConnectionError", "LookupError", "ZeroDivisionError")
TRACEBACK = "Traceback (most recent call last):\n" * 20


def fill(app: Flask, rows: int) -> dict[str, str]:
    """Fill the empty tables as a busy month would; return the ids of jobs to look at."""
    begin = time.monotonic()
    now = datetime.now(UTC)
    dice = random.Random(1)  # noqa: S311 - no secrets
    with app.app_context(), runtime().engine.connect() as connection:
        made = _ended(rows, now, dice)
        while batch := list(islice(made, BATCH)):
            with transaction(runtime().engine) as together:
                _insert(together, batch)
        transitions.insert_jobs(connection, list(_unfinished(now)))
        connection.execute(insert(Worker), [_worker(number, now) for number in range(WORKERS)])
        connection.execute(text("ANALYZE"))
        print(f"  {rows:,} rows after {time.monotonic() - begin:.0f} s", flush=True)
        roller, more = Roller(app), True
        while more:
            _, more = roller.roll(now)
        print(f"  counted after {time.monotonic() - begin:.0f} s", flush=True)
        return _shown(connection)


def _insert(connection: Connection, batch: list[dict[str, Any]]) -> None:
    connection.execute(insert(Job), batch)
    tags = [
        {"tag": tag, "job_id": row["id"], "created_at": row["created_at"]}
        for row in batch
        if row["tags"]
        for tag in json.loads(row["tags"])
    ]
    if tags:
        connection.execute(insert(JobTag), tags)


def _ended(rows: int, now: datetime, dice: random.Random) -> Iterator[dict[str, Any]]:
    earlier = ""
    for number in range(rows):
        created = now - timedelta(days=DAYS) * ((rows - number) / rows)
        state = dice.choice(OUTCOMES)
        row = _job(number, created) | {"state": state, "published_at": created, "worker": f"w{number % WORKERS}@host"}
        row["started_at"] = created + timedelta(seconds=dice.expovariate(2))
        row["finished_at"] = min(now, row["started_at"] + timedelta(seconds=dice.lognormvariate(0, 1)))
        if state == "SUCCESS":
            row["result"] = '{"rows": 1200, "file": "report.pdf"}'
        elif state == "FAILURE":
            row |= _failure(dice.choice(ERRORS), number)
        if number % RETRIED_IN == 0:
            row |= {"attempt": 2, "retries": 1, "history": _retried(row)}
        if number % SENT_IN and number % SENT_IN < 4:
            row |= {"parent_id": earlier, "root_id": earlier}
        else:
            earlier = row["id"]
        yield row


def _job(number: int, created: datetime) -> dict[str, Any]:
    job_id = new_id()
    texts = ("result", "error", "error_type", "history", "worker", "worker_id", "parent_id", "progress", "message")
    moments = ("due_at", "dispatch_at", "published_at", "started_at", "finished_at")
    return {
        **dict.fromkeys((*texts, *moments)),
        "id": job_id,
        "root_id": job_id,
        "task": f"reports.task_{number % TASKS}",
        "queue": f"queue-{number % QUEUES}",
        "args": "[1, 2]",
        "kwargs": '{"customer": 4711, "name": "monthly report"}',
        "priority": 5,
        "state": "PENDING",
        "attempt": 1,
        "retries": 0,
        "rescues": 0,
        "version": 5,
        "forgotten": False,
        "tags": f'["monthly", "batch-{number // 1000}"]' if number % TAGGED_IN == 0 else None,
        "created_at": created,
    }


def _failure(kind: str, number: int) -> dict[str, Any]:
    error = faults.fault(kind, "builtins", [f"row {number}"], f"row {number}", TRACEBACK)
    return {"error_type": kind, "error": json.dumps(error)}


def _retried(row: Mapping[str, Any]) -> str:
    error = faults.fault("OSError", "builtins", ["again"], "again", TRACEBACK)
    moments = {"started_at": row["created_at"], "finished_at": row["started_at"]}
    return transitions.history_line(attempt=1, state="RETRY", worker=row["worker"], error=error, **moments)


def _unfinished(now: datetime) -> Iterator[dict[str, Any]]:
    """Return jobs that wait for a worker, run, or are due much later."""
    for number in range(WAITING):
        yield _job(number, now) | {"published_at": now}
    for number in range(RUNNING):
        held = {"worker": f"w{number % WORKERS}@host", "worker_id": f"life-{number % WORKERS}"}
        yield _job(number, now) | held | {"state": "STARTED", "published_at": now, "started_at": now}
    for number in range(LATER):
        due = now + timedelta(days=1, seconds=number)
        yield _job(number, now) | {"due_at": due, "dispatch_at": due}


def _worker(number: int, now: datetime) -> dict[str, Any]:
    """Return a worker that lives for as long as the measurement takes."""
    empty = dict.fromkeys(("running", "prefetched"), "[]") | dict.fromkeys(("newest", "services"), "{}")
    return {
        **empty,
        **dict.fromkeys(("dropped", "refused", "junk"), 0),
        "id": f"life-{number}",
        "name": f"w{number}@host",
        "host": "host",
        "pid": number,
        "version": "1",
        "pool": "prefork",
        "concurrency": 4,
        "queues": json.dumps([f"queue-{number % QUEUES}"]),
        "started_at": now,
        "heartbeat_at": now + timedelta(hours=3),
    }


def _shown(connection: Connection) -> dict[str, str]:
    columns = Job.__table__.c
    found = {}
    for state in ("SUCCESS", "FAILURE", "STARTED", "PENDING"):
        newest = select(columns.id).where(columns.state == state).order_by(columns.created_at.desc()).limit(1)
        found[state] = str(connection.execute(newest).scalar_one())
    return found
