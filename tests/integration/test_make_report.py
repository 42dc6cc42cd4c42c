"""The task that reports on jobs: the figures on every database, and the file that a worker makes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

pytest.importorskip("fpdf")
pytest.importorskip("matplotlib")

from task_app.errors import JobCancelled, UnusableInput
from task_app.gallery.reports.charts import draw_all
from task_app.gallery.reports.figures import Report, collect
from task_app.jobs import rolling, service
from task_app.jobs.ended import ended
from task_app.jobs.filters import Filter
from task_app.jobs.histogram import Histogram, bucket_of
from task_app.jobs.models import Job
from task_app.jobs.runtime import runtime
from task_app.jobs.spans import SHORT, Kind, floor
from task_app.jobs.tally import Tally
from task_app.testing.attempts import run_attempt

from ..factories import insert_job
from ..gallery import CancelAt, artefacts, content_of, failure, result_of, run, run_with_store_away_at_first, submitted

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@pytest.fixture
def here(every_database: Flask) -> Iterator[Flask]:
    with every_database.app_context():
        yield every_database


def quiet(*_: object, **__: object) -> None:
    """Take no note of reports."""


def insert_ended(
    count: int = 1, *, state: str = "SUCCESS", ago: timedelta = HOUR, run: float = 2, **values: Any
) -> None:
    """Insert jobs that ended so long ago, waited a second, and ran so long."""
    finished_at = NOW - ago
    started_at = finished_at - timedelta(seconds=run)
    job = Job.__table__.c
    with runtime().engine.begin() as connection:
        for _ in range(count):
            job_id = insert_job(connection, created_at=started_at - timedelta(seconds=1), **values)
            ending = {"state": state, "started_at": started_at, "finished_at": finished_at, "attempt": 1}
            if state == "FAILURE":
                ending |= {"error_type": "TimeoutError", "error": '{"type": "TimeoutError", "message": "late\\nmore"}'}
            connection.execute(update(Job.__table__).where(job.id == job_id).values(**ending))  # type: ignore[arg-type]


def collected(since: datetime | None = None, until: datetime | None = None, **wanted: Any) -> Report:
    return collect(Filter(**wanted), since, until, "Jobs", quiet)


def test_jobs_of_a_filter_are_counted_one_by_one(here: Flask) -> None:
    insert_ended(3, tags='["nightly"]')
    insert_ended(2, tags='["nightly"]', task="mul", state="FAILURE", run=20)
    insert_ended(1, tags='["nightly"]', task="mul", state="REVOKED")
    insert_ended(5)
    insert_ended(7, tags='["nightly"]', ago=timedelta(days=3))
    found = collected(tag="nightly")
    assert (found.total.succeeded, found.total.failed, found.total.revoked) == (3, 2, 1)
    assert found.total.run is not None
    assert found.total.run.p50 == pytest.approx(2, rel=0.05)
    assert found.total.wait is not None
    assert found.total.wait.p50 == pytest.approx(1, rel=0.05)
    assert {name: one.jobs for name, one in found.tasks.items()} == {"add": 3, "mul": 3}
    assert sum(step.figures.jobs for step in found.steps if step.figures) == 6
    (kind,) = found.failures
    assert (kind.error, kind.task, kind.count, kind.message) == ("TimeoutError", "mul", 2, "late")
    assert found.notes == []


@pytest.mark.parametrize(
    ("wanted", "jobs"),
    [
        ({"status": "SUCCESS"}, 4),
        ({"status": "FAILURE"}, 2),
        ({"task": "mul", "status": "FAILURE"}, 2),
        ({"task": "mul", "tag": "x"}, 1),
        ({"error": "TimeoutError"}, 2),
        ({"error": "KeyError"}, 0),
    ],
)
def test_filters_are_those_of_the_api(here: Flask, wanted: dict[str, Any], jobs: int) -> None:
    insert_ended(3)
    insert_ended(1, task="mul", tags='["x"]')
    insert_ended(2, task="mul", state="FAILURE")
    assert collected(**wanted).total.jobs == jobs


def test_a_period_begins_with_its_start_and_ends_before_its_end(here: Flask) -> None:
    for ago in (1, 2, 3):
        insert_ended(ago, tags='["x"]', ago=ago * HOUR)
    found = collected(NOW - 3 * HOUR, NOW - HOUR, tag="x")
    assert found.total.jobs == 5
    assert collected(NOW - 50 * HOUR, NOW - 4 * HOUR, tag="x").total.jobs == 0


def test_all_jobs_and_those_of_a_task_come_from_rollups(here: Flask) -> None:
    at = floor(NOW - timedelta(minutes=10), SHORT)
    runs = Histogram({bucket_of(0.5) or 0: 9})
    nine = Tally(succeeded=8, failed=1, runs=runs, waits=runs)
    rows: rolling.Rows = {
        (Kind.ALL, "", at): nine,
        (Kind.TASK, "add", at): nine,
        (Kind.TASK, "mul", at): Tally(revoked=1),
    }
    rolling.write(runtime().engine, SHORT, rows)
    insert_ended(1, state="FAILURE", ago=timedelta(minutes=10))
    found = collected(NOW - HOUR)
    assert (found.total.succeeded, found.total.failed) == (8, 1)
    assert list(found.tasks) == ["add", "mul"]
    assert [kind.count for kind in found.failures] == [1]
    assert sum(step.figures is None for step in found.steps) == len(found.steps) - 1
    of_task = collected(NOW - HOUR, task="add")
    assert (of_task.total.jobs, list(of_task.tasks)) == (9, ["add"])
    assert collected(NOW - HOUR, task="mul").failures == []


def test_where_there_are_more_jobs_than_can_be_looked_at_it_is_said(
    here: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_ended(5, tags='["x"]')
    assert [len(ended(Filter(tag="x"), NOW - 2 * HOUR, NOW, most=most)[0]) for most in (4, 5, 6)] == [4, 5, 5]
    assert [ended(Filter(tag="x"), NOW - 2 * HOUR, NOW, most=most)[1] for most in (4, 6)] == [False, True]
    monkeypatch.setattr("task_app.gallery.reports.figures.ended", lambda *args: ended(*args, most=3))
    assert collected(tag="x").notes == ["More jobs ended than could be looked at; the tables are of the newest 3."]


@pytest.mark.parametrize(
    ("since", "until", "problem"),
    [
        (NOW, NOW - HOUR, "ends before it begins"),
        (NOW + HOUR, None, "has not begun"),
        (NOW - timedelta(days=400), None, "at most 366 days"),
        (None, EARLIEST, "beyond the calendar"),
        (EARLIEST.replace(tzinfo=timezone(HOUR)), None, "beyond the calendar"),
        (None, LATEST.replace(tzinfo=timezone(-HOUR)), "beyond the calendar"),
        (EARLIEST, EARLIEST + HOUR, "in 1970 at the earliest"),
        (EARLIEST, EARLIEST + 25 * HOUR, "in 1970 at the earliest"),
        (EARLIEST, LATEST, "at most 366 days"),
    ],
)
def test_a_period_that_makes_no_sense_is_refused(here: Flask, since: Any, until: Any, problem: str) -> None:
    with pytest.raises(UnusableInput, match=problem):
        collected(since, until)


def test_a_cancel_ends_the_work_at_its_next_step(here: Flask) -> None:
    tick = CancelAt(2)
    with pytest.raises(JobCancelled):
        collect(Filter(), None, None, "Jobs", tick)
    assert tick.reports == 2


# -- the task ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "beginning"), [("pdf", b"%PDF-"), ("html", b"<!doctype html>")])
def test_a_report_is_made(app: Flask, kind: str, beginning: bytes) -> None:
    with app.app_context():
        insert_ended(3, tags='["x"]')
        insert_ended(1, tags='["x"]', state="FAILURE")
    job = run(app, "make_report", format=kind, tag="x", title="Nächtlich")
    found = result_of(job)
    assert (found["jobs"], found["succeeded"], found["failed"], found["revoked"]) == (4, 3, 1, 0)
    assert artefacts(job) == {f"report.{kind}": found["file"]}
    content = content_of(app, found["file"])
    assert content.startswith(beginning)
    assert kind == "pdf" or "Nächtlich" in content.decode()


def test_times_come_as_the_api_sends_them(app: Flask) -> None:
    found = result_of(
        run(app, "make_report", format="html", since="2026-01-01T00:00:00", until="2026-01-02T01:00:00+01:00")
    )
    assert (found["from"], found["to"]) == ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")


def test_a_period_that_makes_no_sense_fails_at_once(app: Flask) -> None:
    job = run(app, "make_report", since="2999-01-01T00:00:00Z")
    assert failure(job)[0] == "UnusableInput"


def test_a_report_that_nobody_could_keep_is_made_again(app: Flask) -> None:
    job = run_with_store_away_at_first(app, "make_report", format="html")
    assert artefacts(job) == {"report.html": result_of(job)["file"]}


def test_a_cancelled_report_leaves_no_file(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["PROGRESS_INTERVAL"] = 0.0
    job_id = submitted(app, "make_report")

    def cancelled_while_it_draws(*args: Any) -> Any:
        service.cancel(job_id)
        return draw_all(*args)

    monkeypatch.setattr("task_app.gallery.reports.pdf.draw_all", cancelled_while_it_draws)
    job = run_attempt(app, job_id)
    assert job.state == "REVOKED"
    assert artefacts(job) == {}
