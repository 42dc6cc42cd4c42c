"""Celery's settings: what is refused at the start instead of failing with the first job."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from kombu import Queue

from task_app import create_app
from task_app.errors import ConfigurationError

from ..conftest import dispose, settings_for


def conf_with(folder: Path, **celery: Any) -> Any:
    app = create_app(settings_for(folder, CELERY=celery))
    dispose(app)
    return app.extensions["celery"].conf


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonsense", 1),
        ("accept_content", ["pickle"]),
        ("task_acks_late", True),
        ("task_soft_time_limit", "abc"),
        ("task_time_limit", 0),
        ("task_queues", 5),
        ("task_queues", "celery"),
        ("task_queues", [5]),
        ("task_routes", 5),
        ("broker_transport_options", 5),
        ("beat_schedule", 5),
        ("beat_schedule", {"x": 5}),
        ("beat_schedule", {"x": {"task": "add", "schedule": "often"}}),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"CELERY\['{name}"):
        conf_with(tmp_path, **{name: value})


def test_queues_may_be_given_by_name(tmp_path: Path) -> None:
    queues = conf_with(tmp_path, task_queues=["celery", Queue("slow")]).task_queues
    assert [queue.name for queue in queues] == ["celery", "slow"]


@pytest.mark.parametrize("schedule", [5, 0.5, timedelta(hours=1), crontab(hour=3)])
def test_schedules_celery_understands_are_taken(tmp_path: Path, schedule: Any) -> None:
    plan = {"x": {"task": "add", "schedule": schedule}}
    assert conf_with(tmp_path, beat_schedule=plan).beat_schedule == plan


def test_what_was_chosen_is_kept(tmp_path: Path) -> None:
    conf = conf_with(tmp_path, worker_prefetch_multiplier=1, broker_transport_options={"visibility_timeout": 5})
    assert conf.worker_prefetch_multiplier == 1
    assert conf.broker_transport_options["visibility_timeout"] == 5
    assert conf.broker_transport_options["queue_order_strategy"] == "priority"
