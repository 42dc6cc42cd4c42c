"""The boxes of a job's timeline: for each life that a job can have led, where its time went."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from task_app.jobs.timeline import Box, Kind, timeline
from task_app.jobs.view import JobView, timestamp

ZERO = datetime(2030, 1, 1, 12, tzinfo=UTC)
NOW = 100


def at(seconds: float) -> datetime:
    return ZERO + timedelta(seconds=seconds)


def job(state: str = "PENDING", *, history: list[dict[str, Any]] | None = None, **values: Any) -> JobView:
    """Return a job that was accepted at 0; moments are seconds from then."""
    usual: dict[str, Any] = {"id": "1", "task": "add", "args_json": "[]", "kwargs_json": "{}", "queue": "celery"}
    usual |= {"priority": 5, "attempt": 1, "retries": 0, "version": 1, "created_at": at(0)}
    moments = {name: at(value) for name, value in values.items() if name.endswith("_at")}
    lines = "".join(json.dumps(line) + "\n" for line in history or ()) or None
    return JobView(state=state, history_json=lines, **(usual | values | moments))


def attempt(number: int, state: str, started: float | None, finished: float) -> dict[str, Any]:
    """Return a line of the history."""
    begin = None if started is None else timestamp(at(started))
    return {"attempt": number, "state": state, "started_at": begin, "finished_at": timestamp(at(finished))}


Short = tuple[str, float, float, int, str | None, bool]


def short(box: Box) -> Short:
    start, end = ((moment - ZERO).total_seconds() for moment in (box.start, box.end))
    return box.kind.value, start, end, box.attempt, box.state, box.open


RETRIED = [attempt(1, "RETRY", 2, 5), attempt(2, "LOST", 20, 30)]
AWAITING = '{"awaits": "an earlier step of its chain"}'
LIVES: dict[str, tuple[JobView, list[Short]]] = {
    "just accepted": (job(), [("dispatch", 0, 100, 1, "PENDING", True)]),
    "due later": (job(due_at=500), [("delay", 0, 100, 1, "PENDING", True)]),
    "due and not yet published": (
        job(due_at=60),
        [("delay", 0, 60, 1, None, False), ("dispatch", 60, 100, 1, "PENDING", True)],
    ),
    "in its queue": (
        job(published_at=1),
        [("dispatch", 0, 1, 1, None, False), ("queue", 1, 100, 1, "PENDING", True)],
    ),
    "running": (
        job("PROGRESS", published_at=1, started_at=3),
        [("dispatch", 0, 1, 1, None, False), ("queue", 1, 3, 1, None, False), ("run", 3, 100, 1, "PROGRESS", True)],
    ),
    "ended": (
        job("SUCCESS", due_at=10, published_at=11, started_at=13, finished_at=20),
        [
            ("delay", 0, 10, 1, None, False),
            ("dispatch", 10, 11, 1, None, False),
            ("queue", 11, 13, 1, None, False),
            ("run", 13, 20, 1, "SUCCESS", False),
        ],
    ),
    "cancelled before it was due": (
        job("REVOKED", due_at=500, finished_at=7),
        [("delay", 0, 7, 1, "REVOKED", False)],
    ),
    "cancelled in its queue": (
        job("REVOKED", published_at=1, finished_at=7),
        [("dispatch", 0, 1, 1, None, False), ("queue", 1, 7, 1, "REVOKED", False)],
    ),
    "expired while the broker was away": (
        job("REVOKED", finished_at=7),
        [("dispatch", 0, 7, 1, "REVOKED", False)],
    ),
    "blocked step of a chain": (
        job(blocked_by="an earlier step of its chain", message_json=AWAITING),
        [("blocked", 0, 100, 1, "PENDING", True)],
    ),
    "step that was blocked for ever": (
        job("FAILURE", message_json=AWAITING, finished_at=9),
        [("blocked", 0, 9, 1, "FAILURE", False)],
    ),
    "retried, lost, waits to try again": (
        job("RETRY", attempt=3, history=RETRIED, due_at=400),
        [
            ("wait", 0, 2, 1, None, False),
            ("run", 2, 5, 1, "RETRY", False),
            ("wait", 5, 20, 2, None, False),
            ("run", 20, 30, 2, "LOST", False),
            ("delay", 30, 100, 3, "RETRY", True),
        ],
    ),
    "rescued, its due time long ago": (
        job("RETRY", attempt=2, history=[attempt(1, "LOST", 2, 30)], due_at=1),
        [("wait", 0, 2, 1, None, False), ("run", 2, 30, 1, "LOST", False), ("dispatch", 30, 100, 2, "RETRY", True)],
    ),
    "asked for again after it had failed": (
        job("STARTED", attempt=2, history=[attempt(1, "FAILURE", 2, 30)], published_at=70, started_at=72),
        [
            ("wait", 0, 2, 1, None, False),
            ("run", 2, 30, 1, "FAILURE", False),
            ("rest", 30, 70, 2, None, False),
            ("dispatch", 70, 70, 2, None, False),
            ("queue", 70, 72, 2, None, False),
            ("run", 72, 100, 2, "STARTED", True),
        ],
    ),
    "asked for again twice, and once cancelled before it started": (
        job(
            "SUCCESS",
            attempt=3,
            history=[attempt(1, "FAILURE", 2, 30), attempt(2, "REVOKED", None, 40)],
            published_at=50,
            started_at=51,
            finished_at=52,
        ),
        [
            ("wait", 0, 2, 1, None, False),
            ("run", 2, 30, 1, "FAILURE", False),
            ("rest", 30, 40, 2, "REVOKED", False),
            ("rest", 40, 50, 3, None, False),
            ("dispatch", 50, 50, 3, None, False),
            ("queue", 50, 51, 3, None, False),
            ("run", 51, 52, 3, "SUCCESS", False),
        ],
    ),
    "replaced": (
        job(attempt=2, history=[attempt(1, "REPLACED", 2, 3)], blocked_by="replacement"),
        [("wait", 0, 2, 1, None, False), ("run", 2, 3, 1, "REPLACED", False), ("blocked", 3, 100, 2, "PENDING", True)],
    ),
    "older attempts gave way": (
        job("STARTED", attempt=8, history=[attempt(7, "RETRY", 50, 60)], published_at=60, started_at=61),
        [
            ("wait", 0, 50, 7, None, False),
            ("run", 50, 60, 7, "RETRY", False),
            ("dispatch", 60, 60, 8, None, False),
            ("queue", 60, 61, 8, None, False),
            ("run", 61, 100, 8, "STARTED", True),
        ],
    ),
    "the worker's clock is behind": (
        job("SUCCESS", published_at=5, started_at=-2, finished_at=-1),
        [("dispatch", 0, 0, 1, None, False), ("queue", 0, 0, 1, None, False), ("run", 0, 0, 1, "SUCCESS", False)],
    ),
}


@pytest.mark.parametrize("life", LIVES)
def test_where_the_time_went(life: str) -> None:
    seen, boxes = LIVES[life]
    assert [short(box) for box in timeline(seen, at(NOW))] == boxes


@pytest.mark.parametrize("life", LIVES)
def test_boxes_follow_each_other_and_only_the_last_is_open(life: str) -> None:
    seen, _ = LIVES[life]
    boxes = timeline(seen, at(NOW))
    assert boxes[0].start == seen.created_at
    assert all(box.end == after.start and not box.open for box, after in pairwise(boxes))
    assert all(box.seconds >= 0 and box.label for box in boxes)
    assert boxes[-1].open is (seen.finished_at is None)


def test_a_step_that_was_freed_says_how_long_it_was_blocked() -> None:
    seen = job("SUCCESS", published_at=21, started_at=22, finished_at=23)
    boxes = [short(box)[:3] for box in timeline(seen, at(NOW), freed_at=at(20))]
    assert boxes == [("blocked", 0, 20), ("dispatch", 20, 21), ("queue", 21, 22), ("run", 22, 23)]


def test_an_open_wait_for_a_due_time_says_when_it_is_over() -> None:
    (box,) = timeline(job(due_at=500), at(NOW))
    assert (box.until, box.kind) == (at(500), Kind.DELAY)
    assert timeline(job(published_at=1), at(NOW))[-1].until is None
