"""The options that say which jobs are meant: the filters of the API."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ..jobs import lists, service
from ..jobs.filters import Argument, Filter
from ..jobs.runtime import utcnow
from ..jobs.view import JobView
from ..mirror.adopt import is_possible_id

_AGE = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d|w)")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
#: Jobs read at once.
AT_ONCE = 200


class Moment(click.ParamType[datetime]):
    """An ISO 8601 time, in UTC if it names no zone, or how long ago: 30s, 10min, 2h, 7d, 4w."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment."""
        if isinstance(value, datetime):
            return value
        try:
            age = _AGE.fullmatch(value)
            if age is not None:
                return utcnow() - timedelta(seconds=float(age[1]) * _SECONDS[age[2]])
            moment = datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail("neither an ISO 8601 time nor an age such as 2h or 7d", param, ctx)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class ArgumentText(click.ParamType[str]):
    """PATH=VALUE, such as kwargs.user_id=42."""

    name = "path=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is, if it is one."""
        try:
            Argument.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class PossibleId(click.ParamType[str]):
    """An id, or a part of one, that every database can compare."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it as it is, if a job can have it."""
        if not is_possible_id(value):
            self.fail("no job has such an id", param, ctx)
        return str(value)


_OPTIONS = (
    click.option("--status", help="One of Celery's states or a task's own; or running, waiting, finished."),
    click.option("--task"),
    click.option("--queue"),
    click.option("--tag"),
    click.option("--worker"),
    click.option("--error", help="Type of the error of the last attempt that failed."),
    click.option("--resolved/--unresolved", default=None, help="Failures that somebody has dealt with, or not."),
    click.option("--parent", type=PossibleId(), help="Jobs that this job has sent, or that follow it in its chain."),
    click.option("--group", type=PossibleId(), help="Members of a group or chord."),
    click.option("--id", type=PossibleId(), help="An id or its beginning."),
    click.option("--argument", type=ArgumentText(), help="Such as kwargs.user_id=42 or args.0=42."),
    click.option("--created-after", type=Moment(), help="An ISO 8601 time, or an age such as 2h or 7d."),
    click.option("--created-before", type=Moment(), help="An ISO 8601 time, or an age such as 2h or 7d."),
)


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a filter; it gets their values by the names of `Filter`'s fields."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def newest(wanted: Filter, limit: int) -> Iterator[JobView]:
    """Yield up to `limit` jobs, newest first."""
    after: lists.Place | None = None
    while limit > 0:
        page = service.page(wanted, limit=min(limit, AT_ONCE), after=after)
        yield from page.jobs
        limit, after = limit - len(page.jobs), page.next
        if after is None:
            return
