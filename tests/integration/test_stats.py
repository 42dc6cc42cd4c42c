"""What has happened, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from task_app.api.stats import StatsSchema
from task_app.jobs import rolling
from task_app.jobs.histogram import Histogram, bucket_of
from task_app.jobs.runtime import JobRuntime
from task_app.jobs.spans import SHORT, Kind, floor
from task_app.jobs.tally import Tally

from .test_api_submit import problem_of

NOW = datetime.now(UTC)


@pytest.fixture
def filled(app: Flask) -> datetime:
    """Count a job of the task add in a span ten minutes ago, and none in the one after; returns the first."""
    at = floor(NOW - timedelta(minutes=10), SHORT)
    runs = Histogram({bucket_of(0.5) or 0: 1})
    one = Tally(succeeded=1, runs=runs, waits=runs)
    rows: rolling.Rows = {(Kind.ALL, "", at): one, (Kind.TASK, "add", at): one}
    rows[Kind.ALL, "", at + timedelta(seconds=SHORT)] = Tally(depth=3, oldest=1.5)
    here: JobRuntime = app.extensions["jobs"]
    rolling.write(here.engine, SHORT, rows)
    return at


def stats(client: FlaskClient, **query: Any) -> dict[str, Any]:
    response = client.get("/stats", query_string=query)
    assert response.status_code == 200, response.get_json()
    shown: dict[str, Any] = response.get_json()
    assert StatsSchema().validate(shown) == {}
    return shown


def test_a_series_is_shown(client: FlaskClient, filled: datetime) -> None:
    query = {"from": filled.isoformat(), "to": (filled + timedelta(seconds=30)).isoformat(), "points": 3}
    shown = stats(client, **query)
    first, second, third = shown["points"]
    assert (shown["kind"], shown["name"], shown["seconds"]) == ("all", "", 10)
    assert (first["succeeded"], first["seconds"], first["depth"]) == (1, 10, None)
    assert first["run"]["p50"] == pytest.approx(0.5, rel=0.05) and first["wait"] is not None
    assert (second["succeeded"], second["run"], second["depth"], second["oldest"]) == (0, None, 3, 1.5)
    assert (third["succeeded"], third["seconds"]) == (None, 0)
    assert (shown["total"]["succeeded"], shown["total"]["depth"]) == (1, 3)


def test_the_last_hour_is_shown_if_nothing_else_is_asked_for(client: FlaskClient, filled: datetime) -> None:
    assert stats(client)["total"]["succeeded"] == 1
    assert stats(client, kind="task", name="add")["total"]["succeeded"] == 1
    assert stats(client, kind="queue", name="nobody")["total"]["succeeded"] == 0
    before = stats(client, to=(filled - timedelta(minutes=1)).isoformat())
    assert (before["total"]["succeeded"] == 0 and before["to"] < before["points"][-1]["at"]) or before["points"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"kind": "worker"}, "kind"),
        ({"kind": "task"}, "name"),
        ({"name": "add"}, "name"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2030-01-01T00:00:00Z", "to": "2029-01-01T00:00:00Z"}, "from"),
        ({"points": 0}, "points"),
        ({"points": 1001}, "points"),
        ({"color": "red"}, "color"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(client: FlaskClient, query: dict[str, Any], field: str) -> None:
    assert field in problem_of(client.get("/stats", query_string=query), 422)["errors"]
