"""What a report says, before it looks like anything.

Where rollups know (all jobs, those of a task or of a queue), the figures are theirs: those of the charts, exact for any
time. For other filters, jobs are looked at one by one, the newest ten thousand.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from ...errors import JobNotFound, UnusableInput
from ...jobs import figures, service
from ...jobs.ended import Ended, ended
from ...jobs.figures import Figures, Kind, Percentiles
from ...jobs.filters import ENDED, Filter
from ...jobs.histogram import bucket_of
from ...jobs.rolling import beginnings
from ...jobs.runtime import utcnow
from ...jobs.spans import floor
from ...jobs.states import State
from ...jobs.tally import Tally
from ...jobs.wording import first_line
from .. import Tick

#: Points of the charts, tasks and kinds of failures that are told of.
POINTS, MOST_TASKS, MOST_FAILURES = 60, 25, 25
STEPS = (10, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400)
DAY = timedelta(days=1)
#: A report covers no more.
LONGEST = timedelta(days=366)
#: None begins earlier: no job did, and before the first days of the calendar nothing can be reckoned.
FIRST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happened in one step of the charts; None: nobody looked."""

    at: datetime
    figures: Figures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Failures of one task with one type of error."""

    error: str
    task: str
    count: int
    first_at: datetime
    last_at: datetime
    newest: str  # id of the one that failed last
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that a report says."""

    title: str
    start: datetime
    end: datetime
    made_at: datetime
    filters: dict[str, str]
    total: Figures
    seconds: int  # of a step
    steps: list[Step]
    tasks: dict[str, Figures]
    tasks_left_out: int
    failures: list[Failures]
    failures_left_out: int
    notes: list[str] = field(default_factory=list)
    analysis: Mapping[str, Any] | None = None  # of a table, as `tables.analysis` makes it


def collect(
    wanted: Filter,
    start: datetime | None,
    end: datetime | None,
    title: str,
    tick: Tick,
    analysis: Mapping[str, Any] | None = None,
) -> Report:
    """Gather what a report says of the jobs that a filter wants. Needs an app context. Raises UnusableInput."""
    now = utcnow()
    start, end = _window(start, end, now)
    notes: list[str] = []
    tick(0, 4, "figures")
    kind = _counted_as(wanted)
    jobs: list[Ended] = []
    if kind in (None, Kind.QUEUE):
        jobs, is_all = ended(wanted, start, end)
        if not is_all:
            notes.append(f"More jobs ended than could be looked at; the tables are of the newest {len(jobs):,}.")
    if kind is None:
        total, seconds = _figures(jobs), _step(start, end)
        steps = _steps(jobs, start, end, seconds)
    else:
        series = figures.series(kind, wanted.task or wanted.queue or "", start=start, end=end, points=POINTS)
        total, seconds = series.total, series.seconds
        steps = [Step(at=point.at, figures=point.figures) for point in series.points]
    tick(1, 4, "tasks")
    tasks = _by_task(jobs) if kind in (None, Kind.QUEUE) else figures.by_name(Kind.TASK, start=start, end=end)
    if kind is Kind.TASK:
        tasks = {name: tasks[name] for name in tasks if name == wanted.task}
    tick(2, 4, "failures")
    failures, is_all = _failures(wanted, start, end)
    if not is_all:
        notes.append("More jobs failed than could be looked at; the failures are the newest.")
    return Report(
        title=title,
        start=start,
        end=end,
        made_at=now,
        filters={one.name: str(value) for one in fields(wanted) if (value := getattr(wanted, one.name)) is not None},
        total=total,
        seconds=seconds,
        steps=steps,
        tasks=dict(islice(tasks.items(), MOST_TASKS)),
        tasks_left_out=max(0, len(tasks) - MOST_TASKS),
        failures=failures[:MOST_FAILURES],
        failures_left_out=max(0, len(failures) - MOST_FAILURES),
        notes=notes,
        analysis=analysis,
    )


def _window(start: datetime | None, end: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Return the time that is asked for, in UTC: the last day, if nothing is said."""
    try:
        end = min(now, _aware(end) or now)
        start = _aware(start) or end - DAY
    except OverflowError as error:  # in another zone it is no more in the years 1 to 9999
        raise UnusableInput("the period of the report begins or ends beyond the calendar") from error
    if start >= end:
        raise UnusableInput("the period of the report ends before it begins, or has not begun")
    if end - start > LONGEST:
        raise UnusableInput(f"a report covers at most {LONGEST.days} days")
    if start < FIRST:
        raise UnusableInput(f"a report begins in {FIRST.year} at the earliest")
    return start, end


def _aware(moment: datetime | None) -> datetime | None:
    return moment and (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))


def _counted_as(wanted: Filter) -> Kind | None:
    """Say which rollups have what a filter wants; None: there are none for it."""
    if wanted == Filter():
        return Kind.ALL
    if wanted.task is not None and wanted == Filter(task=wanted.task):
        return Kind.TASK
    return Kind.QUEUE if wanted.queue is not None and wanted == Filter(queue=wanted.queue) else None


# -- from single jobs --------------------------------------------------------------------------------------------


def _figures(jobs: Iterable[Ended]) -> Figures:
    tally = Tally()
    for job in jobs:
        tally.count(job.state, 1, bucket_of(job.wait), bucket_of(job.run))
    return Figures(
        succeeded=tally.succeeded,
        failed=tally.failed,
        revoked=tally.revoked,
        wait=Percentiles.of(tally.waits),
        run=Percentiles.of(tally.runs),
        depth=None,
        oldest=None,
    )


def _step(start: datetime, end: datetime) -> int:
    least = (end - start).total_seconds() / POINTS
    return next((step for step in STEPS if step >= least), 7 * STEPS[-1])


def _steps(jobs: Iterable[Ended], start: datetime, end: datetime, seconds: int) -> list[Step]:
    within: dict[datetime, list[Ended]] = defaultdict(list)
    for job in jobs:
        within[floor(job.finished_at, seconds)].append(job)
    return [Step(at=at, figures=_figures(within[at])) for at in beginnings(floor(start, seconds), end, seconds)]


def _by_task(jobs: Iterable[Ended]) -> dict[str, Figures]:
    """Return the figures of each task, those with the most jobs first."""
    within: dict[str, list[Ended]] = defaultdict(list)
    for job in jobs:
        within[job.task].append(job)
    busiest = sorted(within.items(), key=lambda item: (-len(item[1]), item[0]))
    return {name: _figures(found) for name, found in busiest}


def _failures(wanted: Filter, start: datetime, end: datetime) -> tuple[list[Failures], bool]:
    """Return kinds of failures, the most frequent first; False: among the newest failures only."""
    if wanted.status not in (None, State.FAILURE, ENDED):
        return [], True
    jobs, is_all = ended(replace(wanted, status=State.FAILURE), start, end)
    within: dict[tuple[str, str], list[Ended]] = defaultdict(list)
    for job in jobs:
        within[job.error or "unknown", job.task].append(job)
    groups = sorted(within.items(), key=lambda item: (-len(item[1]), item[0]))
    found = []
    for number, ((error, task), failed) in enumerate(groups):
        failed.sort(key=lambda job: job.finished_at)
        found.append(
            Failures(
                error=error,
                task=task,
                count=len(failed),
                first_at=failed[0].finished_at,
                last_at=failed[-1].finished_at,
                newest=failed[-1].id,
                message=_message(failed[-1].id) if number < MOST_FAILURES else "",
            )
        )
    return found, is_all


def _message(job_id: str) -> str:
    try:
        error = service.get(job_id).error or {}
    except JobNotFound:  # pruned meanwhile
        return ""
    return first_line(error.get("message"))
