"""`flask jobs show` and `watch`: one job for people to read, and lists that stay up to date."""

import json
import time
from collections.abc import Sequence
from typing import Any

import click
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from ..jobs import service
from ..jobs.document import document
from ..jobs.filters import Filter
from ..jobs.runtime import utcnow
from ..jobs.view import JobView
from ..mirror.public import rate_limit_of
from .filtering import filter_options, newest
from .following import follow
from .jobs import COLUMNS, as_json_option, clear_errors, end_with, group, row_of, timeout_option
from .output import ago, bytes_of, console, print_json, table_of, took

#: Seconds between two looks at a list.
LOOK = 1.0


@group.command()
@click.argument("job_id")
@as_json_option
def show(job_id: str, wants_json: bool) -> None:
    """Show everything about a job: on a terminal for people, else as JSON."""
    with clear_errors():
        job = service.get(job_id)
    if wants_json or not console().is_terminal:
        print_json(document(job, utcnow()) | {"artefacts": job.artefacts})
        return
    out = console()
    out.print(_facts(job))
    reason = service.explain(job, rate_limit=rate_limit_of(job.task))
    if reason is not None:
        out.print(f"\n[bold]{'Why it is not running' if reason.reason else 'Its run'}[/]\n{escape(reason.text)}")
    if job.result is not None:
        out.print(f"\n[bold]Result[/]\n{escape(_json(job.result))}")
    if job.artefacts:
        out.print("\n[bold]Artefacts[/]", _artefacts(job), sep="\n")
    if len(job.history) > 1:
        out.print("\n[bold]Attempts[/]", _attempts(job), sep="\n")
    if job.error is not None:
        out.print(f"\n[bold]Error[/]\n{escape(job.error['traceback'] or '')}".rstrip())
        out.print(escape(f"{job.error['type']}: {job.error['message']}"))


def _facts(job: JobView) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    moments = ("created", "due", "published", "started", "finished", "cancel_requested", "expires", "resolved")
    facts: dict[str, str | None] = {
        "id": job.id,
        "task": job.task,
        "state": f"{job.state}, attempt {job.attempt}",
        "args": _json(job.args) if job.args else None,
        "kwargs": _json(job.kwargs) if job.kwargs else None,
        "queue": f"{job.queue}, priority {job.priority}",
        "worker": job.worker,
        "progress": _progress(job),
        "took": took(job) if job.started_at else None,
        "tags": ", ".join(job.tags) or None,
        "parent": job.parent_id,
        "group": job.group_id,
    }
    for name in moments:
        moment = getattr(job, f"{name}_at")
        facts[name.replace("_", " ")] = moment and f"{moment:%Y-%m-%d %H:%M:%S} UTC ({ago(moment)})"
    for name, value in facts.items():
        if value is not None:
            table.add_row(f"[bold]{name}[/]", escape(value))
    return table


def _progress(job: JobView) -> str | None:
    done = job.progress
    words = [f"{done['percent']:g} %" if done["percent"] is not None else "", str(done["message"] or "")]
    return " ".join(filter(None, words)) or None


def _attempts(job: JobView) -> Table:
    rows = [
        (str(entry["attempt"]), entry["state"], entry["worker"] or "-", entry["started_at"] or "-", _error_of(entry))
        for entry in job.history
    ]
    return table_of(("attempt", "state", "worker", "started", "error"), rows)


def _artefacts(job: JobView) -> Table:
    rows = [(made["id"], made["name"], bytes_of(made["size"]), made["type"]) for made in job.artefacts]
    return table_of(("id", "name", "size", "type"), rows)


def _error_of(entry: dict[str, Any]) -> str:
    error = entry["error"]
    return "-" if error is None else f"{error['type']}: {error['message']}".splitlines()[0]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


@group.command()
@click.argument("job_id", required=False)
@filter_options
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Jobs in the list.")
@timeout_option
@as_json_option
def watch(job_id: str | None, limit: int, timeout: float | None, wants_json: bool, **wanted: Any) -> None:
    """Follow a job to its end, or without JOB_ID a list, until Ctrl+C.

    A job's result is printed, and the exit codes are those of submit --wait. A list is a table that stays up to date;
    into a pipe, and with --json, each change is a line.
    """
    asked = Filter(**wanted)
    if job_id is None:
        _watch_list(asked, limit, timeout, wants_json)
        return
    if asked != Filter():
        raise click.UsageError("Filters are for lists, without JOB_ID.")
    with clear_errors():
        job = service.get(job_id)
    end_with(follow(job, timeout), wants_json)


def _watch_list(wanted: Filter, limit: int, timeout: float | None, wants_json: bool) -> None:
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    show = _table if console().is_terminal and not wants_json else _lines
    try:
        show(wanted, limit, deadline, wants_json)
    except KeyboardInterrupt:
        return  # the way to end it


def _table(wanted: Filter, limit: int, deadline: float, _: bool) -> None:
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            live.update(table_of(COLUMNS, [row_of(job) for job in newest(wanted, limit)]), refresh=True)
            if not _wait(deadline):
                return


def _lines(wanted: Filter, limit: int, deadline: float, wants_json: bool) -> None:
    """Print a job when it is new in the list, or has changed; the oldest first."""
    seen: dict[str, int] = {}
    while True:
        jobs: Sequence[JobView] = list(newest(wanted, limit))
        for job in reversed(jobs):
            if seen.get(job.id) != job.version:
                click.echo(json.dumps(document(job, utcnow())) if wants_json else "\t".join(row_of(job)))
        seen = {job.id: job.version for job in jobs}
        if not _wait(deadline):
            return


def _wait(deadline: float) -> bool:
    """Wait for the next look; False when the time is over."""
    left = deadline - time.monotonic()
    time.sleep(max(0.0, min(LOOK, left)))
    return left > 0
