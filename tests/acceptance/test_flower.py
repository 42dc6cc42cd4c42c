"""Flower beside the service: Celery's own monitor sees the workers and the jobs, and what it steers is in the table."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from task_app.jobs import lists, service

from .stack import EACH_PAIR, ROOT, Stack, answers, free_port, running, until

pytest.importorskip("flower", reason="Flower is not installed; it comes with the extra `monitor`")


class Flower:
    """Flower in a process of its own."""

    def __init__(self, stack: Stack) -> None:
        port = free_port()
        command = ("celery", "-A", "make_celery", "flower", "--address=127.0.0.1", f"--port={port}")
        self.process = stack.start(*command, FLOWER_UNAUTHENTICATED_API="true")
        until(lambda: answers(port), "Flower")
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def get(self, path: str) -> Any:
        """Return what its API says."""
        answer = self.http.get(path)
        return answer.raise_for_status().json()

    def worker(self, node: str) -> Any:
        """Return what a worker has said of itself, once it has answered all that Flower asks; else None."""
        said = self.get("/api/workers?refresh=true").get(node, {})
        return said if said.keys() >= {"active_queues", "conf", "registered"} else None

    def state_of(self, job_id: str) -> str | None:
        """Return the state of a job as events have told it; None for one it has not heard of."""
        answer = self.http.get(f"/api/task/info/{job_id}")
        return None if answer.status_code == 404 else answer.raise_for_status().json()["state"]


@EACH_PAIR
def test_flower_shows_workers_and_jobs_and_steers_them(database: str, broker: str, tmp_path: Path) -> None:
    with running(tmp_path, database, broker, FLASK_CELERY__worker_send_task_events="true") as stack:
        flower = Flower(stack)
        stack.start_worker(name="seen")
        node = f"seen-{stack.queue}@test"
        until(lambda: node in flower.http.get("/workers").text, "the worker on its page")
        worker = until(lambda: flower.worker(node), "what the worker says of itself")
        assert [queue["name"] for queue in worker["active_queues"]] == [stack.queue]
        assert worker["conf"]["task_default_queue"] == stack.queue and "add" in worker["registered"]

        with stack.app.app_context():
            ended = stack.task("add").delay(1, 2).id
            failed = stack.task("probe.fail").delay().id
            running_job = stack.task("probe.steps").delay(1000, 0.05).id
        until(lambda: flower.state_of(ended) == "SUCCESS", "an ended job")
        until(lambda: flower.state_of(failed) == "FAILURE", "a failed job")
        until(lambda: flower.state_of(running_job) == "STARTED", "a running job")
        assert {ended, failed, running_job} <= flower.get("/api/tasks?limit=1000").keys()
        assert "3" in flower.http.get(f"/task/{ended}").text and "Refused" in flower.http.get(f"/task/{failed}").text
        assert flower.http.get("/tasks").is_success and flower.http.get("/broker").is_success

        flower.http.post(f"/api/task/revoke/{running_job}", params={"terminate": "true"}).raise_for_status()
        assert stack.until_ended(running_job).state == "REVOKED", "what is revoked there is cancelled for good"
        sent = flower.http.post("/api/task/async-apply/add", json={"args": [2, 3]}).raise_for_status().json()["task-id"]
        assert stack.until_ended(sent).result == 5, "what is sent from there is a job"
        with stack.app.app_context():
            assert len(service.page(lists.Filter(), limit=10).jobs) == 4
        flower.http.close()
        assert stack.stop(flower.process) == 0


def test_the_commands_of_the_page_are_those_that_work() -> None:
    page = Path(ROOT, "docs", "howto", "flower.md").read_text(encoding="utf-8")
    commands = " ".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    for word in ("celery -A make_celery flower", "FLASK_CELERY__worker_send_task_events=true", "[monitor]"):
        assert word in commands
