"""`flask queues`: what waits, since when, and who listens; pausing and resuming them."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..errors import ValueNotStorable
from ..jobs import service
from ..jobs.lists import COUNT_LIMIT
from ..jobs.queues import QueueView, document
from ..startup import StartedGroup
from .output import ago, print_json, print_table

COLUMNS = ("queue", "waiting", "oldest", "listeners", "paused")

group = StartedGroup("queues", help="What waits for a worker, and pausing it.")


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


@group.command()
@click.argument("name")
@click.option("--by", envvar="USER", help="Who wants it, for others to see; you, if not given.")
def pause(name: str, by: str | None) -> None:
    """Let workers take nothing from a queue; what runs goes on, and jobs are still accepted."""
    with _clear_errors():
        changed = service.pause_queue(name, by)
    click.echo(f"{name}\t{'paused' if changed else 'is paused already'}")
    queue = service.queue_view(name)
    if not queue.listeners and not queue.waiting:
        click.echo(f"Nobody listens to {name} and nothing waits in it. Is that its name?", err=True)


@group.command()
@click.argument("name")
@click.option("--by", envvar="USER", help="Who wants it; you, if not given.")
def resume(name: str, by: str | None) -> None:
    """Let workers take from a paused queue again."""
    with _clear_errors():
        changed = service.resume_queue(name, by)
    click.echo(f"{name}\t{'resumed' if changed else 'is not paused'}")


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except ValueNotStorable as error:
        raise click.ClickException(str(error)) from None
