"""`flask queues`: what waits, since when, and who listens."""

import click

from ..jobs import service
from ..jobs.lists import COUNT_LIMIT
from ..jobs.view import timestamp
from ..jobs.workers import WorkerState
from ..startup import StartedGroup
from .maintenance import overview
from .output import ago, print_json, print_table

COLUMNS = ("queue", "waiting", "oldest", "listeners")

group = StartedGroup("queues", help="What waits for a worker, since when, and who listens.")


@group.command("list")
@click.option("--json", "wants_json", is_flag=True, help="For programs.")
def show_list(wants_json: bool) -> None:
    """List queues that hold jobs or that a living worker listens to."""
    depths = {depth.queue: depth for depth in service.depths()}
    listeners: dict[str, list[str]] = {}
    for worker in overview():
        if worker.state in (WorkerState.ALIVE, WorkerState.WEDGED):
            for queue in worker.queues:
                listeners.setdefault(queue, []).append(worker.name)
    names = sorted(depths.keys() | listeners.keys())
    if wants_json:
        found = [(name, depths.get(name)) for name in names]
        print_json(
            [
                {
                    "queue": name,
                    "waiting": depth.waiting if depth else 0,
                    "oldest_at": timestamp(depth.oldest_at) if depth else None,
                    "listeners": listeners.get(name, []),
                }
                for name, depth in found
            ]
        )
        return
    rows = []
    for name in names:
        depth, heard_by = depths.get(name), listeners.get(name)
        number = depth.waiting if depth else 0
        rows.append(
            (
                name,
                f"{number}{'+' if number == COUNT_LIMIT else ''}",
                ago(depth.oldest_at) if depth else "-",
                ", ".join(heard_by) if heard_by else "nobody",
            )
        )
    print_table(COLUMNS, rows)
