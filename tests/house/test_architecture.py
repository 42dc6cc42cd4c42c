"""The rules of the house: who may import whom, what building an app does, what Celery is told."""

import subprocess
import sys
from pathlib import Path

from flask import Flask

from task_app import create_app
from task_app.jobs.states import FINAL, WAITING, State

from ..conftest import dispose, settings_for

ROOT = Path(__file__).resolve().parents[2]


def test_every_floor_imports_only_the_floors_below() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_only_one_module_reads_the_table_of_pauses() -> None:
    # A queue that was resumed keeps its row: whoever only looks for one would think it paused.
    knowing = {path.name for path in (ROOT / "task_app").rglob("*.py") if "PausedQueue" in path.read_text()}
    assert knowing == {"models.py", "queue_control.py"}


def test_building_an_app_touches_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "instance"
    dispose(create_app(settings_for(folder)))
    assert not folder.exists()


def test_two_apps_live_side_by_side(tmp_path: Path) -> None:
    first, second = (create_app(settings_for(tmp_path / name)) for name in ("first", "second"))
    assert first.extensions["celery"] is not second.extensions["celery"]
    assert first.test_client().get("/healthz").status_code == second.test_client().get("/healthz").status_code == 200
    dispose(first)
    dispose(second)


def test_the_tasks_blueprint_is_registered(app: Flask) -> None:
    assert "tasks" in app.blueprints


def test_json_is_the_only_accepted_content(app: Flask) -> None:
    conf = app.extensions["celery"].conf
    assert (conf.accept_content, conf.task_serializer, conf.result_serializer) == (["json"], "json", "json")


def test_the_worker_entry_point_is_four_lines() -> None:
    lines = (ROOT / "make_celery.py").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith('"""')]) <= 4


def test_states_are_celerys_own_words() -> None:
    from celery import states

    assert {state.value for state in State} == (states.ALL_STATES - {states.RECEIVED}) | {"PROGRESS"} - {
        "REJECTED",
        "IGNORED",
    }
    assert not set(FINAL) & set(WAITING)
