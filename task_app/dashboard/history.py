"""Charts of what has happened: jobs that ended, how long they ran and waited, and what waits."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from ..jobs import figures
from ..jobs.figures import Figures, Kind, Percentiles, Series
from ..jobs.view import timestamp
from . import drawing
from .links import jobs_url
from .windows import Window
from .words import duration, number

#: Few enough that four charts are a few kilobytes each, and many enough for one a pixel or two on a phone.
POINTS = 120
MOST_TASKS = 12


@dataclass(frozen=True, slots=True)
class Charts:
    """The four charts of a window, and what happened in it as a whole."""

    throughput: Markup
    runs: Markup
    waits: Markup
    depth: Markup
    words: str


def charts(window: Window, now: datetime, kind: Kind = Kind.ALL, name: str = "") -> Charts:
    """Draw what happened to all jobs, or to those of a task or queue."""
    found = figures.series(kind, name, start=window.start, end=window.end, points=POINTS)
    spans = drawing.Window(
        start=found.start,
        step=timedelta(seconds=found.seconds),
        count=len(found.points),
        now=now,
        seen=[point.figures is not None for point in found.points],
    )

    def link(start: str, until: str, state: str | None) -> str:
        wanted = {"status": state or "finished"} | ({} if kind is Kind.ALL else {str(kind): name})
        return f"{jobs_url(**wanted)}&finished_after={start}&finished_before={until}"

    def counted(outcome: str) -> list[float | None]:
        return [None if point.figures is None else getattr(point.figures, outcome) for point in found.points]

    return Charts(
        throughput=drawing.throughput(
            spans,
            succeeded=counted("succeeded"),
            failed=counted("failed"),
            revoked=counted("revoked"),
            name="throughput",
            link=link,
        ),
        runs=_percentiles(spans, found, "run", "Time to run", link),
        waits=_percentiles(spans, found, "wait", "Time waited for a worker", link),
        depth=drawing.depth(spans, waiting=counted("depth"), oldest=counted("oldest"), name="depth"),
        words=_words(found),
    )


@dataclass(frozen=True, slots=True)
class TaskRow:
    """How the jobs of a task ran in a window; the widths of bars are in percent of the slowest task."""

    name: str
    figures: Figures
    share: int  # of the slowest p95
    url: str
    failed_url: str


def tasks(window: Window) -> list[TaskRow]:
    """Return the tasks with the most jobs in a window, and how long these ran."""
    found = figures.by_name(Kind.TASK, start=window.start, end=window.end, limit=MOST_TASKS).items()
    slowest = max((one.run.p95 for _, one in found if one.run), default=0.0)
    times = {"finished_after": timestamp(window.start), "finished_before": timestamp(window.end)}
    return [
        TaskRow(
            name,
            one,
            round(100 * one.run.p95 / slowest) if one.run and slowest else 0,
            jobs_url(task=name, status="finished", **times),
            jobs_url(task=name, status="FAILURE", **times),
        )
        for name, one in found
    ]


def _percentiles(spans: drawing.Window, found: Series, what: str, title: str, link: drawing.Link) -> Markup:
    each = [None if point.figures is None else getattr(point.figures, what) for point in found.points]
    whole: Percentiles | None = getattr(found.total, what)
    return drawing.percentiles(
        spans,
        p50=[one and one.p50 for one in each],
        p95=[one and one.p95 for one in each],
        p99=[one and one.p99 for one in each],
        overall=None if whole is None else (whole.p50, whole.p95, whole.p99),
        name=what,
        title=title,
        link=link,
    )


def _words(found: Series) -> str:
    """Say what happened in the window in one line."""
    total = found.total
    if not total.jobs:
        return "no job ended"
    failed = f", {number(total.failed)} of them failed" if total.failed else ""
    ran = f"; half ran at most {duration(total.run.p50)}" if total.run else ""
    return f"{number(total.jobs)} jobs ended{failed}{ran}"
