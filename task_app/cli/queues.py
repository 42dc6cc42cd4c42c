"""`flask queues`: what waits, since when, who listens, and what is paused."""

import click

from ..jobs import service
from ..jobs.lists import COUNT_LIMIT
from ..jobs.queues import QueueView, document
from ..startup import StartedGroup
from .output import ago, print_json, print_table

COLUMNS = ("queue", "waiting", "oldest", "listeners", "paused")

group = StartedGroup("queues", help="What waits for a worker, since when, and who listens.")


@group.command("list")
@click.option("--json", "wants_json", is_flag=True, help="For programs.")
def show_list(wants_json: bool) -> None:
    """List queues that hold jobs, that a living worker listens to, or that are paused."""
    found = service.queue_views()
    if wants_json:
        print_json([document(queue) for queue in found])
        return
    print_table(
        COLUMNS,
        [
            (
                queue.name,
                f"{queue.waiting}{'+' if queue.waiting == COUNT_LIMIT else ''}",
                ago(queue.oldest_at),
                ", ".join(queue.listeners) or "nobody",
                _paused(queue),
            )
            for queue in found
        ],
    )


def _paused(queue: QueueView) -> str:
    if queue.paused_at is None:
        return "-"
    return ago(queue.paused_at) + (f" by {queue.paused_by}" if queue.paused_by else "")
