"""The last report is the one that stays, also when an older one is slow on its way to the table."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask

from task_app.jobs import service, transitions
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission
from task_app.mirror.progress import Reporter

PATIENCE = 20.0


@pytest.mark.parametrize("ends", [False, True], ids=["reports again", "ends"])
def test_an_older_report_does_not_come_after_a_newer(app: Flask, monkeypatch: pytest.MonkeyPatch, ends: bool) -> None:
    monkeypatch.setitem(app.config, "PROGRESS_INTERVAL", 0.05)
    with app.app_context():
        job_id = service.submit(Submission(task="add", args="[1, 2]")).id
        with runtime().engine.connect() as connection:
            transitions.claim(connection, job_id, 1, worker="w@h", worker_id="life-1", now=datetime.now(UTC))
        reporter = Reporter.for_request(SimpleNamespace(id=job_id, job_attempt=1), app)
        slow, on_its_way, store = threading.Event(), threading.Event(), reporter._store

        def step(number: int) -> None:
            reporter.report({"current": number, "total": 3, "message": None})

        with ThreadPoolExecutor(1) as task:
            task.submit(step, 1).result()
            monkeypatch.setattr(reporter, "_store", lambda text: slowly(text, on_its_way, slow, store))
            task.submit(step, 2).result()
            assert on_its_way.wait(PATIENCE)
            last = task.submit(reporter.__exit__, None, None, None) if ends else task.submit(step, 3)
            with pytest.raises(TimeoutError):
                last.result(0.2)  # it waits for the older one
            slow.set()
            last.result()
            progress = service.get(job_id).progress
        assert progress["current"] == (2 if ends else 3)


def slowly(text: str, on_its_way: threading.Event, slow: threading.Event, store: Any) -> bool:
    """Store a report; the one that comes from the timer's thread waits to be told."""
    if isinstance(threading.current_thread(), threading.Timer):
        on_its_way.set()
        assert slow.wait(PATIENCE)
    stored: bool = store(text)
    return stored
