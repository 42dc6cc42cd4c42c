"""Failures by what went wrong: which exceptions, in which tasks, since when; to be retried or resolved together."""

from dataclasses import dataclass
from datetime import datetime

from flask import render_template, request

from ..jobs import service
from ..jobs.runtime import utcnow
from ..jobs.triage import REACH, WINDOWS, Group
from ..jobs.view import timestamp
from .blueprint import blueprint
from .links import Choice, here, here_with, jobs_url
from .live import begin

LABELS = {"hour": "last hour", "day": "last day", "week": "7 days", "month": "30 days", "all": "all"}
DEFAULT = "week"
#: A filter that no job meets: a failure without a type has no list of its own, and must not stand for all of its task.
NO_TYPE = "-"
#: Groups on a page, of up to `triage.GROUPS`: each is a form of its own, and a page must stay light.
SHOWN = 30
#: Columns of the table, where they are no longer than what is shown.
SPANS = ("hour", "day", "week")


@dataclass(frozen=True, slots=True)
class Cell:
    """How many of a group failed in a span of time, and where they are listed."""

    label: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class Row:
    """A group, and the filter behind its numbers."""

    group: Group
    filter: dict[str, str]
    url: str
    task_url: str
    cells: list[Cell]

    @property
    def key(self) -> str:
        """What tells it from the others."""
        return f"{self.group.error} {self.group.task}"


@blueprint.route("/failures")
def failures() -> str:
    """Show failures grouped by exception and task."""
    begin("failures")
    window, shows_resolved = window_of(request.args.get("window")), request.args.get("resolved") == "true"
    now = utcnow()
    length = WINDOWS[window]
    since = None if length is None else now - length
    found = service.failures(since, resolved=None if shows_resolved else False)
    skip = skip_of(request.args.get("skip"))
    spans = [name for name in SPANS if length is None or (WINDOWS[name] or length) < length]
    return render_template(
        "dashboard/failures.html",
        rows=[_row(group, since, shows_resolved, spans, now) for group in found.groups[skip : skip + SHOWN]],
        skip=skip,
        largest_url=here_with(skip=None) if skip else None,
        next_url=here_with(skip=str(skip + SHOWN)) if skip + SHOWN < len(found.groups) else None,
        triage=found,
        reach=REACH,
        spans=[LABELS[name] for name in spans],
        choices=[Choice(LABELS[name], here_with(window=name, skip=None), name == window) for name in WINDOWS],
        window_words="" if length is None else f"the {LABELS[window]}",
        shows_resolved=shows_resolved,
        resolved_url=here_with(resolved=None if shows_resolved else "true", skip=None),
        here=here(),
        as_of=timestamp(now),
    )


def skip_of(text: str | None) -> int:
    """Return how many groups come before those of the page that an address asks for."""
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 6 else 0


def window_of(name: str | None) -> str:
    """Return the name of the window that an address asks for."""
    return name if name in WINDOWS else DEFAULT


def _row(group: Group, since: datetime | None, shows_resolved: bool, spans: list[str], now: datetime) -> Row:
    kind = {"status": "FAILURE", "task": group.task}
    kind["error"] = group.error or NO_TYPE
    if not shows_resolved:
        kind["resolved"] = "false"
    wanted = kind if since is None else {**kind, "finished_after": timestamp(since) or ""}
    cells = []
    for name in spans:
        begins = now - (WINDOWS[name] or now - now)
        url = jobs_url(**kind, finished_after=timestamp(begins))
        cells.append(Cell(LABELS[name], group.within[name], url))
    return Row(group, wanted, jobs_url(**wanted), jobs_url(status="FAILURE", task=group.task), cells)
