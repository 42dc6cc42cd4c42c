"""`flask workers`: who lives, and what they do. The services they run are in `flask maintenance status`."""

from dataclasses import asdict

import click

from ..jobs import service
from ..jobs.workers import WorkerState
from ..startup import StartedGroup
from .output import ago, print_json, print_table, size

COLUMNS = (
    "name",
    "state",
    "running",
    "prefetched",
    "queues",
    "pool",
    "memory",
    "version",
    "heartbeat",
    "started",
    "host",
    "pid",
)

group = StartedGroup("workers", help="Who lives, and what they do.")


@group.command("list")
@click.option("--all", "everybody", is_flag=True, help="Also those that have stopped.")
@click.option("--json", "wants_json", is_flag=True, help="For programs.")
def show_list(everybody: bool, wants_json: bool) -> None:
    """List workers, the latest first."""
    found = [worker for worker in service.worker_views() if everybody or worker.state != WorkerState.STOPPED]
    if wants_json:
        print_json([asdict(worker) for worker in found])
        return
    rows = [
        (
            worker.name,
            str(worker.state),
            f"{len(worker.running)}/{worker.concurrency}",
            str(len(worker.prefetched)),
            ",".join(worker.queues) or "-",
            worker.pool,
            size(worker.memory),
            worker.version,
            ago(worker.heartbeat_at),
            ago(worker.started_at),
            worker.host,
            str(worker.pid),
        )
        for worker in found
    ]
    print_table(COLUMNS, rows)
