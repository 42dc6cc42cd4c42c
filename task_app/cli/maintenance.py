"""`flask maintenance`: the services that move jobs without being asked."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from flask import current_app

from ..jobs import service, workers
from ..jobs.workers import WorkerView
from ..maintenance.alone import run_alone
from ..startup import StartedGroup
from .output import size

group = StartedGroup("maintenance", help="The services that move jobs without being asked. Every worker runs them.")


@group.command()
def run() -> None:
    """Run the services without a worker, until stopped."""
    click.echo("Maintenance runs; Ctrl+C stops it.", err=True)
    run_alone(current_app._get_current_object())  # type: ignore[attr-defined]


@group.command()
@click.option("--all", "everybody", is_flag=True, help="Also those that have stopped.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(everybody: bool, as_json: bool) -> None:
    """Show who lives, and what each service did last; the exit code is 3 if nobody maintains."""
    found = [worker for worker in service.worker_views() if everybody or worker.stopped_at is None]
    if as_json:
        click.echo(json.dumps([asdict(worker) for worker in found], default=str))
    elif not found:
        click.echo("Nobody runs maintenance.")
    else:
        click.echo("\n\n".join(_described(worker) for worker in found))
    if not any(worker.state in (workers.WorkerState.ALIVE, workers.WorkerState.WEDGED) for worker in found):
        raise SystemExit(3)


def _described(worker: WorkerView) -> str:
    memory = "" if worker.memory is None else f"; {size(worker.memory)} of memory"
    lines = [
        f"{worker.name} is {worker.state}: process {worker.pid} on {worker.host}, version {worker.version}{memory}",
        f"  last heartbeat {_ago(worker.heartbeat_at)}; serves {', '.join(worker.queues) or 'no queue'}",
        f"  {len(worker.running)} of {worker.concurrency} running ({worker.pool}), {len(worker.prefetched)} prefetched",
        f"  dropped {worker.dropped} duplicate messages and {worker.junk} junk, refused {worker.refused} late writes",
    ]
    return "\n".join(lines + [_service_line(name, diary) for name, diary in worker.services.items()])


def _service_line(name: str, diary: dict[str, Any]) -> str:
    line = f"  {name:<11} ran {_ago_text(diary.get('ran_at'))}, {diary['total']} in all"
    if diary.get("did_at"):
        line += f", last {diary['did']} {_ago_text(diary['did_at'])}"
    if diary.get("error_at"):
        line += f"; error {_ago_text(diary['error_at'])}: {' '.join(diary['error'])}"
    return line


def _ago_text(moment: str | None) -> str:
    return "never" if moment is None else _ago(datetime.fromisoformat(moment))


def _ago(moment: datetime) -> str:
    return f"{max(0.0, (datetime.now(UTC) - moment).total_seconds()):.1f} s ago"
