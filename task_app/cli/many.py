"""`flask jobs cancel`, `retry`, `resolve` and `prune`: moving jobs by their ids, or all that match."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import click
from rich.progress import Progress

from ..jobs import actions, service
from ..jobs.actions import STEP, Action, Done, Outcome
from ..jobs.filters import Filter
from ..jobs.lists import Count
from ..jobs.packing import load
from ..jobs.runtime import utcnow
from ..jobs.states import FINAL
from ..jobs.wording import number_of
from ..mirror import arguments
from ..mirror.public import as_json, find_task
from .filtering import Moment, filter_options
from .jobs import clear_errors, group, read_json
from .output import console

job_ids_argument = click.argument("job_ids", nargs=-1, metavar="[JOB_ID]...")
yes_option = click.option("--yes", is_flag=True, help="Don't ask before moving all that match.")
#: Jobs deleted at once; on SQLite nobody else writes meanwhile.
BATCH = 200


@group.command()
@job_ids_argument
@filter_options
@yes_option
def cancel(job_ids: tuple[str, ...], yes: bool, **wanted: Any) -> None:
    """Cancel jobs, by their ids or all that match: flask jobs cancel --status waiting --task add

    Says of each what became of it. All that match are those that match now; it says how many and asks.
    """
    _act(Action.CANCEL, job_ids, Filter(**wanted), yes)


@group.command()
@job_ids_argument
@filter_options
@yes_option
@click.option("--kwargs", "kwargs_json", help="Other arguments by name, as a JSON object; with ids.")
@click.option("--args", "args_json", help="Other positional arguments, as a JSON array; with ids.")
def retry(job_ids: tuple[str, ...], yes: bool, args_json: str | None, kwargs_json: str | None, **wanted: Any) -> None:
    """Run ended jobs again, by their ids or all that match: flask jobs retry --error TimeoutError --unresolved

    With ids, also with other arguments.
    """
    if args_json is None and kwargs_json is None:
        _act(Action.RETRY, job_ids, Filter(**wanted), yes)
        return
    if not job_ids or Filter(**wanted) != Filter():
        raise click.UsageError("Other arguments are for jobs named by their ids.")

    def again(job_id: str) -> str:
        job = service.get(job_id)
        args = load(job.args_json) if args_json is None else read_json(args_json, list, "--args")
        kwargs = load(job.kwargs_json) if kwargs_json is None else read_json(kwargs_json, dict, "--kwargs")
        args, kwargs = arguments.bind(find_task(job.task), args, kwargs)
        return f"attempt {service.retry(job_id, args=as_json(args), kwargs=as_json(kwargs)).attempt} waits"

    _end([_tried(job_id, again) for job_id in job_ids])


@group.command()
@job_ids_argument
@filter_options
@yes_option
@click.option("--undo", is_flag=True, help="They are not dealt with after all.")
def resolve(job_ids: tuple[str, ...], yes: bool, undo: bool, **wanted: Any) -> None:
    """Say that failures are dealt with, by their ids or all that match: flask jobs resolve --error KeyError"""
    asked = Filter(**wanted)
    if asked != Filter() and asked.resolved is None:
        asked = replace(asked, resolved=undo)
    _act(Action.UNRESOLVE if undo else Action.RESOLVE, job_ids, asked, yes)


@group.command()
@click.option("--older-than", "ended_before", type=Moment(), required=True, help="Ended before: 30d, or a time.")
@click.option(
    "--status", "states", type=click.Choice(sorted(FINAL)), multiple=True, help="Of these states alone; several times."
)
@click.option("--dry-run", is_flag=True, help="Say how many, and delete none.")
@yes_option
def prune(ended_before: datetime, states: tuple[str, ...], dry_run: bool, yes: bool) -> None:
    """Delete ended jobs for good: flask jobs prune --older-than 30d --status SUCCESS

    Maintenance does so by itself as KEEP_… in the configuration say; this is for now. Parts of chords that have not
    ended are spared.
    """
    chosen = states or sorted(FINAL)
    found = service.prunable(chosen, ended_before)
    if dry_run or not found.number:
        click.echo(f"{_jobs(found)} would be deleted" if dry_run else "No job is that old.")
        return
    _ask(f"Delete {_jobs(found)} for good?", yes)
    deleted = 0
    with _bar("Deleting", found) as advance:
        for state in chosen:
            while number := service.prune(state, ended_before, BATCH):
                deleted += number
                advance(number)
    click.echo(f"deleted {number_of(deleted, 'job')}")


def _act(action: Action, job_ids: tuple[str, ...], wanted: Filter, yes: bool) -> None:
    """Do it to the jobs named, or to all that match now; say of each what became of it."""
    if bool(job_ids) == (wanted != Filter()):
        raise click.UsageError("Name jobs by their ids, or say with options which ones; not both.")
    if job_ids:
        ids = list(dict.fromkeys(job_ids))
        chunks = (ids[start : start + STEP] for start in range(0, len(ids), STEP))
        _end(done for chunk in chunks for done in actions.on_jobs(action, chunk).done)
        return
    now = utcnow()  # as of now, that is: what comes later is not concerned
    wanted = replace(wanted, created_before=min(now, wanted.created_before or now))
    found = service.count(wanted)
    if not found.number and not found.at_least:
        click.echo("No job matches.", err=True)
        return
    _ask(f"{action.capitalize()} {_jobs(found)}?", yes)
    with _bar(f"{action.capitalize()}", found) as advance:
        _end(_all_matching(action, wanted, advance))


def _all_matching(action: Action, wanted: Filter, advance: Callable[[int], None]) -> Iterator[Done]:
    after = None
    while True:
        step = actions.step(action, wanted, after=after)
        yield from step.done
        advance(len(step.done))
        after = step.next
        if after is None:
            return


def _tried(job_id: str, do: Callable[[str], str]) -> Done:
    try:
        with clear_errors():
            return Done(job_id, Outcome.CHANGED, do(job_id))
    except click.ClickException as error:
        return Done(job_id, Outcome.NOT_ALLOWED, error.message)


def _end(outcomes: Iterable[Done]) -> None:
    """Print a line for each; end with 1 if one could not be moved."""
    counts: Counter[Outcome] = Counter()
    for done in outcomes:
        bad = done.outcome in (Outcome.NOT_ALLOWED, Outcome.FAILED)
        click.echo(f"{done.job_id}\t{done.detail}", err=bad)
        counts[done.outcome] += 1
    if sum(counts.values()) > 1:
        click.echo(", ".join(f"{number} {outcome}" for outcome, number in counts.items()), err=True)
    if counts[Outcome.NOT_ALLOWED] or counts[Outcome.FAILED]:
        raise SystemExit(1)


def _ask(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _jobs(found: Count) -> str:
    return number_of(found.number, "job", found.at_least)


class _bar:  # noqa: N801 - used like a function
    """A progress bar on standard error, where that is a terminal."""

    def __init__(self, label: str, found: Count) -> None:
        out = console(err=True)
        self._progress = Progress(console=out, transient=True, disable=not out.is_terminal)
        self._line = self._progress.add_task(label, total=None if found.at_least else found.number)

    def __enter__(self) -> Callable[[int], None]:
        self._progress.start()
        return lambda number: self._progress.advance(self._line, number)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
