"""`flask jobs`: submit and list jobs. The other commands of the group are in `showing` and `many`."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from marshmallow import ValidationError

from ..errors import IllegalMove, JobExists, JobNotFound, ValueNotStorable, ValueUnreadable
from ..jobs import service
from ..jobs.document import document
from ..jobs.filters import Filter
from ..jobs.runtime import utcnow
from ..jobs.states import State, is_final, is_waiting
from ..jobs.submission import HIGHEST_PRIORITY
from ..jobs.view import JobView
from ..mirror import arguments
from ..mirror.public import UnknownTask, find_task
from ..startup import StartedGroup
from ..web.submission import SubmissionSchema
from .filtering import filter_options, newest
from .following import follow
from .output import ago, print_json, print_table, took

#: What commands that wait end with, when the job does not succeed. 2 is click's: wrong usage.
FAILED, REVOKED, STILL_RUNNING = 1, 3, 4
Bound = tuple[list[Any], dict[str, Any]]
COLUMNS = ("id", "task", "state", "progress", "created", "took", "queue", "worker", "waits for")

group = StartedGroup("jobs", help="Submit, follow and steer jobs.")
as_json_option = click.option("--json", "wants_json", is_flag=True, help="For programs.")
timeout_option = click.option("--timeout", type=click.FloatRange(0), help="Seconds to wait at most; exit code 4 then.")


@contextmanager
def clear_errors() -> Iterator[None]:
    """End the command with one line for what the user can mend."""
    try:
        yield
    except arguments.ArgumentErrors as error:
        lines = [f"  {name}: {' '.join(messages)}" for name, messages in error.errors.items()]
        raise click.UsageError(f"{error}\n" + "\n".join(lines)) from None
    except ValidationError as error:
        raise click.UsageError("\n".join(_lines(error.messages_dict))) from None
    except UnknownTask as error:
        raise click.ClickException(f"There is no task {error.name!r} that can be submitted.") from None
    except (JobNotFound, JobExists, IllegalMove, ValueNotStorable, ValueUnreadable) as error:
        raise click.ClickException(str(error)) from None


@group.command()
@click.argument("task")
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--args", "args_json", help="Positional arguments, as a JSON array.")
@click.option("--kwargs", "kwargs_json", help="Arguments by name, as a JSON object, instead of NAME=VALUE.")
@click.option("--id", "task_id", help="A UUID for the job, so that submitting it twice makes one job.")
@click.option("--queue")
@click.option("--priority", type=click.IntRange(0, HIGHEST_PRIORITY), help="Higher goes first.")
@click.option("--countdown", type=click.FloatRange(0), help="Seconds until the job may run.")
@click.option("--eta", help="When the job may run: an ISO 8601 time with a zone.")
@click.option("--expires", help="After which time, or how many seconds from now, it is not started.")
@click.option("--tag", "tags", multiple=True, help="Can be given several times.")
@click.option("--max-retries", type=click.IntRange(0))
@click.option("--soft-time-limit", type=click.FloatRange(0, min_open=True), help="Seconds.")
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), help="Seconds.")
@click.option("--wait", is_flag=True, help="Follow the job to its end; print its result.")
@timeout_option
@as_json_option
def submit(
    task: str,
    values: tuple[str, ...],
    args_json: str | None,
    kwargs_json: str | None,
    tags: tuple[str, ...],
    wait: bool,
    timeout: float | None,
    wants_json: bool,
    **options: Any,
) -> None:
    """Submit a job: flask jobs submit add a=1 b=2 --wait

    Prints the id of the job; with --wait its result, and the exit code is 0 for success, 1 for failure, 3 if it was
    revoked and 4 if it has not ended after --timeout.
    """
    with clear_errors():
        args, kwargs = _arguments(task, values, args_json, kwargs_json)
        wanted = {"task": task, "args": args, "kwargs": kwargs, "tags": list(tags)}
        job = service.submit(SubmissionSchema().load(wanted | _given(options)))
    if wait:
        end_with(follow(job, timeout), wants_json)
    elif wants_json:
        print_json(document(job, utcnow()))
    else:
        click.echo(job.id)


@group.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@as_json_option
def show_list(limit: int, wants_json: bool, **wanted: Any) -> None:
    """List jobs, newest first; filters can be combined."""
    jobs = list(newest(Filter(**wanted), limit))
    if wants_json:
        now = utcnow()
        print_json([document(job, now) for job in jobs])
    else:
        print_table(COLUMNS, [row_of(job) for job in jobs])


def _arguments(task: str, values: tuple[str, ...], args_json: str | None, kwargs_json: str | None) -> Bound:
    if values and kwargs_json is not None:
        raise click.UsageError("Give the arguments as NAME=VALUE or with --kwargs, not both.")
    args = [] if args_json is None else read_json(args_json, list, "--args")
    if kwargs_json is not None:
        return arguments.bind(find_task(task), args, read_json(kwargs_json, dict, "--kwargs"))
    return arguments.bind(find_task(task), args, _pairs(values), coerce=True)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not given, and read what may be a number of seconds."""
    given = {name: value for name, value in options.items() if value is not None}
    with suppress(KeyError, ValueError):
        given["expires"] = float(given["expires"])
    return given


def _lines(messages: Any, where: str = "") -> Iterator[str]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            yield from _lines(inner, f"{where}.{key}" if where else str(key))
    else:
        yield f"{where}: {' '.join(messages)}"


def _pairs(values: Iterable[str]) -> dict[str, list[str]]:
    """Read NAME=VALUE; a name that comes several times has several values, as in a form."""
    found: dict[str, list[str]] = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or not name:
            raise click.UsageError(f"{value!r} is not NAME=VALUE.")
        found.setdefault(name, []).append(text)
    return found


def read_json(text: str, kind: type, option: str) -> Any:
    """Read the JSON of an option."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint=option) from None
    if not isinstance(value, kind):
        raise click.BadParameter(f"not a JSON {'array' if kind is list else 'object'}", param_hint=option)
    return value


def row_of(job: JobView) -> tuple[str, ...]:
    """Return the cells of a job in a list."""
    percent, running = job.progress["percent"], not is_waiting(job.state)
    return (
        job.id,
        job.task,
        job.state,
        f"{percent:g} %" if percent is not None and running else "-",
        ago(job.created_at),
        took(job),
        job.queue,
        job.worker or "-",
        job.waiting_for(utcnow()) or "-",
    )


def end_with(job: JobView, wants_json: bool) -> None:
    """Print the result, or why there is none, and end with the exit code of the outcome."""
    if wants_json:
        print_json(document(job, utcnow()))
    elif job.state == State.SUCCESS:
        print_json(job.result)
    elif is_final(job.state):
        error = job.error or {}
        click.echo(f"{job.state}: {error.get('type')}: {error.get('message')}", err=True)
    else:
        reason = job.waiting_for(utcnow())
        click.echo(f"{job.id} is {job.state}" + (f", waiting for {reason}" if reason else ""), err=True)
    codes = {State.SUCCESS: 0, State.FAILURE: FAILED, State.REVOKED: REVOKED}
    raise SystemExit(codes.get(State(job.state), STILL_RUNNING) if is_final(job.state) else STILL_RUNNING)
