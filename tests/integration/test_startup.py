"""Starting: the embedded database migrates itself, a real one is checked, and errors are one line."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from task_app import config, create_app, embedded, startup
from task_app.errors import ConfigurationError

from ..acceptance.stack import ROOT
from ..conftest import DEAD_BROKER, dispose

COMMANDS = {
    "flask": ["flask", "run", "--port", "0"],
    "shell": ["flask", "shell"],
    "worker": ["celery", "-A", "make_celery", "worker", "--loglevel", "INFO"],
    "beat": ["celery", "-A", "make_celery", "beat"],
    "gunicorn": ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "task_app.wsgi:app"],
    "run": ["task_app.run"],
}


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module to its end, with no setting but these."""
    ours = {variable for setting in config.SETTINGS for variable in setting.env}
    inherited = {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("FLASK_")}
    settings = {"FLASK_APP": "task_app", "FLASK_SKIP_DOTENV": "1", "FLASK_INSTANCE_PATH": str(folder / "instance")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**inherited, **settings, "PORT": "0", "CELERY_BROKER_URL": DEAD_BROKER, **environment},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Flask]:
    """An app whose database is somebody's own: a SQLite file that was named."""
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/real.db", "CELERY_BROKER_URL": DEAD_BROKER}
    app = create_app({"INSTANCE_PATH": str(tmp_path / "instance"), **settings})
    yield app
    dispose(app)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:1/d"},
            "Error: DATABASE_URL: can't reach the database at 127.0.0.1:1/d: ",
        ),
        ({"FLASK_CELERY__broker_url": "nowhere", "CELERY_BROKER_URL": ""}, "Error: FLASK_CELERY__broker_url: not a "),
    ],
    ids=["found at the start", "found in the settings"],
)
def test_every_command_ends_with_one_line(
    tmp_path: Path, command: list[str], environment: dict[str, str], line: str
) -> None:
    ended = run(tmp_path, *command, **environment)
    errors = [text for text in ended.stderr.splitlines() if text.startswith("Error: ")]
    assert ended.returncode in (1, 4)
    assert len(errors) == 1 and errors[0].startswith(line)
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "hunter2" not in ended.stdout + ended.stderr


def test_the_schema_can_be_made_before_anything_else(tmp_path: Path) -> None:
    done = run(tmp_path, "flask", "db", "upgrade")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "instance" / config.SQLITE_FILE).exists()


def test_building_an_app_touches_nothing(tmp_path: Path) -> None:
    dispose(create_app({"INSTANCE_PATH": str(tmp_path / "instance")}))
    assert list(tmp_path.iterdir()) == []


def test_processes_that_come_at_the_same_time_migrate_once(tmp_path: Path) -> None:
    code = (
        "import sys; from task_app import create_app, startup;"
        "startup.start(create_app({'INSTANCE_PATH': sys.argv[1]})); print('started')"
    )
    instance = str(tmp_path / "instance")
    try:
        starters = [
            subprocess.Popen([sys.executable, "-c", code, instance], stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        assert [starter.communicate(timeout=60)[0] for starter in starters] == ["started\n"] * 4
    finally:
        embedded.stop(instance)
    with sqlite3.connect(tmp_path / "instance" / "task_app.db") as connection:
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    connection.close()


def test_an_empty_real_database_has_to_be_migrated_by_its_owner(tmp_path: Path, real: Flask) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^DATABASE_URL: the schema is old \(empty\), run `flask db upgrade`$"
    ):
        startup.start(real)
    done = run(tmp_path, "flask", "db", "upgrade", DATABASE_URL=f"sqlite:///{tmp_path}/real.db")
    assert done.returncode == 0, done.stderr
    startup.start(real)


def test_a_schema_from_the_future_is_refused(tmp_path: Path, real: Flask) -> None:
    with sqlite3.connect(tmp_path / "real.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"^DATABASE_URL: the schema is newer \(9999\) than this program$"):
        startup.start(real)


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path, real: Flask) -> None:
    (tmp_path / "real.db").write_text("this is a letter, not a database" * 100)
    with pytest.raises(
        ConfigurationError, match=r"^DATABASE_URL: can't reach the database at .*: file is not a database$"
    ):
        startup.start(real)


def test_an_unreachable_broker_is_only_a_warning(
    tmp_path: Path, real: Flask, migrated_sqlite: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "real.db").write_bytes(migrated_sqlite)
    startup.start(real)
    (record,) = caplog.records
    assert record.getMessage().startswith("CELERY_BROKER_URL: nothing answers at 127.0.0.1:1 (")
