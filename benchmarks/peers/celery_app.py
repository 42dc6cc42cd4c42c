"""Celery as its tutorials use it; `BENCH_RESULTS` says with which results."""

import os
import sys

import ticks
from celery import Celery, Task

SETTINGS = {
    "none": {"task_ignore_result": True},
    "redis": {"result_backend": os.environ["BENCH_REDIS"], "task_track_started": True, "task_acks_late": True},
    "sql": {"result_backend": "db+" + os.environ["BENCH_SQL"], "database_create_tables_at_setup": True},
}

app = Celery("peer", broker=os.environ["BENCH_REDIS"])
app.conf.update(SETTINGS[os.environ["BENCH_RESULTS"]], broker_connection_retry_on_startup=True)
tasks = {name: app.task(name=name)(getattr(ticks, name)) for name in ticks.WORKLOADS}


@app.task(name="storm", bind=True)
def storm(self: Task, text: str = "") -> None:
    """Report progress very often."""
    ticks.storm(lambda number: self.update_state(state="PROGRESS", meta={"current": number}))


tasks["storm"] = storm

if __name__ == "__main__":
    task, argument = tasks[sys.argv[1]], ticks.argument(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        task.delay(argument)
