"""What the night is made of: a report with an analysis, mails with files, prune, and the schedule."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from flask import Flask

pytest.importorskip("fpdf")
pytest.importorskip("matplotlib")
pytest.importorskip("polars")

from task_app import create_app
from task_app.errors import ConfigurationError
from task_app.gallery.reports.contents import contents
from task_app.jobs import service
from task_app.jobs.ended import ended
from task_app.jobs.filters import Filter
from task_app.mirror.public import UnknownTask, find_task
from task_app.testing.attempts import run_attempt

from ..conftest import dispose, settings_for
from ..gallery import content_of, failure, result_of, run, submitted
from ..postbox import Postbox
from ..unit.test_reports import report
from .test_mail import StartServer, postbox, server, start_server
from .test_make_report import insert_ended

__all__ = ["StartServer", "postbox", "server", "start_server"]  # fixtures

DAY = timedelta(days=1)


def test_a_site_and_a_table_are_too_much(app: Flask) -> None:
    job = run(app, "nightly_report", to="ada@example.com", site="http://a.example", table="http://a.example")
    assert failure(job) == ("UnusableInput", "give a site or a table, not both")


def test_a_report_tells_of_the_table_that_was_analysed() -> None:
    columns: list[dict[str, Any]] = [
        {"name": "n", "type": "int", "missing": 0, "min": 1, "max": 9, "quantiles": {"p50": 5.0}},
        {"name": "who", "type": "text", "missing": 2, "top": [{"value": "ada", "count": 7}]}
        | {"distinct": 3, "distinct_is_approximate": True},
        {"name": "ok", "type": "bool", "missing": 0, "true": 4, "false": 5},
        {"name": "gone", "type": "empty", "missing": 9},
    ]
    table = contents(report(analysis={"rows": 9, "columns": columns}))["tables"][-1]
    assert [row[3:] for row in table.rows] == [
        ["1", "5", "9"],
        ["ada (7)", "", "about 3 different"],
        ["true (4)", "", "false (5)"],
        ["", "", ""],
    ]
    assert table.note == "9 rows."


def test_a_table_with_only_the_newest_jobs_is_said_to_be_one(
    app: Flask, server: int, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("task_app.tasks.nightly.ended", lambda *args: ended(*args, most=3))
    until = datetime.now(UTC)
    period = {"since": (until - DAY).isoformat(), "until": until.isoformat()}
    with app.app_context():
        insert_ended(5)
    analysed = result_of(run(app, "analyze_csv", file=result_of(run(app, "jobs_table", **period))))
    assert analysed["rows"] == 3
    of_jobs, of_a_site = (
        result_of(run(app, "report_with_analysis", analysed=analysed, format="html", of_jobs=of_jobs, **period))
        for of_jobs in (True, False)
    )
    note = "More jobs ended than could be looked at; the table that was analysed has the newest 3."
    assert note in content_of(app, of_jobs["file"]).decode()
    assert note not in content_of(app, of_a_site["file"]).decode()
    for made in (of_jobs, of_a_site):
        result_of(run(app, "mail_report", report=made, to="ada@example.com"))
    bodies = [mail.get_body(("plain",)) for mail in postbox.mails]
    assert [body is not None and note in body.get_content() for body in bodies] == [True, False]


# -- prune -------------------------------------------------------------------------------------------------------


def test_prune_deletes_what_ended_long_ago(app: Flask) -> None:
    with app.app_context():
        insert_ended(3, ago=10 * DAY)
        insert_ended(2, ago=10 * DAY, state="FAILURE")
        insert_ended(4, ago=2 * DAY)
    assert result_of(run(app, "prune", older_than_days=7, states=["SUCCESS"])) == {"SUCCESS": 3}
    assert result_of(run(app, "prune", older_than_days=7)) == {"SUCCESS": 0, "FAILURE": 2, "REVOKED": 0}
    with app.app_context():
        assert service.count(Filter(finished_before=datetime.now(UTC) - DAY)).number == 4


def test_prune_goes_on_until_there_is_no_more(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_app.tasks.pruning.BATCH", 2)
    with app.app_context():
        insert_ended(7, ago=10 * DAY)
    job = run(app, "prune", older_than_days=1)
    assert result_of(job)["SUCCESS"] == 7
    assert job.meta["current"] == 7


def test_a_cancelled_prune_ends_between_two_batches(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["PROGRESS_INTERVAL"] = 0.0
    monkeypatch.setattr("task_app.tasks.pruning.BATCH", 2)
    with app.app_context():
        insert_ended(7, ago=10 * DAY)
    job_id = submitted(app, "prune", older_than_days=1)
    delete, batches = service.prune, []

    def cancelled_in_its_second_batch(state: str, ended_before: datetime, limit: int) -> int:
        batches.append(delete(state, ended_before, limit))
        if len(batches) == 2:
            service.cancel(job_id)
        return batches[-1]

    monkeypatch.setattr("task_app.jobs.service.prune", cancelled_in_its_second_batch)
    assert run_attempt(app, job_id).state == "REVOKED"
    assert batches == [2, 2]
    with app.app_context():
        assert service.count(Filter(finished_before=datetime.now(UTC) - DAY)).number == 3


def test_prune_never_deletes_all_by_mistake(app: Flask) -> None:
    assert failure(run(app, "prune", older_than_days=0))[0] == "ValueError"


def test_who_may_submit_jobs_may_not_delete_any(app: Flask) -> None:
    with app.app_context(), pytest.raises(UnknownTask):
        find_task("prune")


# -- the schedule ------------------------------------------------------------------------------------------------


def plan_with(folder: Path, **settings: Any) -> dict[str, Any]:
    app = create_app(settings_for(folder, **settings))
    dispose(app)
    celery: Celery = app.extensions["celery"]
    return dict(celery.conf.beat_schedule)


def test_nothing_is_planned_unless_it_is_asked_for(tmp_path: Path) -> None:
    assert plan_with(tmp_path) == {}


def test_settings_plan_the_night(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, NIGHTLY_REPORT_TO="ada@example.com", NIGHTLY_PRUNE_DAYS=90)
    assert {name: (entry["task"], entry["kwargs"]) for name, entry in plan.items()} == {
        "nightly_report": ("nightly_report", {"to": "ada@example.com"}),
        "nightly_prune": ("prune", {"older_than_days": 90.0}),
    }


def test_an_entry_of_ones_own_takes_the_place_of_ours(tmp_path: Path) -> None:
    own = {"task": "nightly_report", "schedule": 60.0, "kwargs": {"to": "bob@example.com"}}
    plan = plan_with(
        tmp_path, NIGHTLY_REPORT_TO="ada@example.com", CELERY={"beat_schedule": {"nightly_report": own, "more": own}}
    )
    assert plan == {"nightly_report": own, "more": own}


def test_a_report_to_nobody_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="NIGHTLY_REPORT_TO: must be an email address"):
        create_app(settings_for(tmp_path, NIGHTLY_REPORT_TO="everybody"))
