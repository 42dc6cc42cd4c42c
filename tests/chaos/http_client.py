"""Submits, cancels and retries over HTTP, as a client that crashes of the server must not confuse."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

from .book import Answer, Cancel
from .workload import DEFAULT_PRIORITY, Order, Via, Wanted
from .world import LOOK, World

TIMEOUT = 15.0  # seconds
TRIES = 600
EXPECTED = (200, 202, 409, 503)


def call(world: World, method: str, path: str, body: object = None) -> tuple[int | None, Any]:
    """Send one request; the status is None when there was no answer."""
    connection = http.client.HTTPConnection(urlsplit(world.address).netloc, timeout=TIMEOUT)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        status, document = answer.status, json.loads(answer.read() or b"null")
    except (OSError, http.client.HTTPException, ValueError):
        world.book.answers["http: none"] += 1
        return None, None
    finally:
        connection.close()
    world.book.answers[f"http: {status}"] += 1
    if status not in EXPECTED:
        world.book.surprise(f"{method} {path}: {status} {document}")
    return status, document


def submit(world: World, order: Order) -> bool:
    """Submit an order; say whether it was accepted. False: nobody knows."""
    path, body = "/tasks", _json(order.jobs[0])
    if order.via is Via.BATCH:
        path, body = "/tasks/batch", {"jobs": [_json(job) for job in order.jobs]}
    for number in range(TRIES):
        status, document = call(world, "POST", path, body)
        if status == 202:
            return True
        if status == 409:
            if number == 0:
                world.book.surprise(f"a new id is taken: {document}")
            return True  # the try before was stored although nobody said so
        if not order.insists or world.stop_all.wait(LOOK):
            return False
    return False


def _json(wanted: Wanted) -> dict[str, Any]:
    body: dict[str, Any] = {"task": wanted.task, "kwargs": wanted.kwargs, "task_id": wanted.id}
    if wanted.priority != DEFAULT_PRIORITY:
        body["priority"] = wanted.priority
    if wanted.countdown is not None:
        body["countdown"] = wanted.countdown
    return body


def state_of(world: World, job_id: str) -> str | None:
    """Return a job's state, or None when there was no answer."""
    status, document = call(world, "GET", f"/tasks/{job_id}")
    return str(document["task_status"]) if status == 200 else None


def cancel(world: World, job_id: str) -> None:
    """Cancel a job and write down the answer."""
    status, document = call(world, "POST", f"/tasks/{job_id}/cancel")
    answer, attempt = Answer.UNKNOWN, None
    if status == 202:
        answer = Answer.REVOKED if document["task_status"] == "REVOKED" else Answer.ASKED
        attempt = document["attempt"]
    elif status == 409:
        answer = Answer.ENDED
    world.book.answers[f"cancel: {answer}"] += 1
    world.book.jobs[job_id].cancels.append(Cancel(answer, time.time(), attempt))


def retry(world: World, job_id: str) -> None:
    """Run an ended job again and write down whether that was accepted."""
    status, _ = call(world, "POST", f"/tasks/{job_id}/retry")
    world.book.answers[f"retry: {status}"] += 1
    world.book.jobs[job_id].retries.append(status == 202)
