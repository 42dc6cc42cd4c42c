"""The key that signs sessions: made where all is embedded, demanded elsewhere, and only of the web server."""

import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from task_app import create_app, secret_key, startup
from task_app.errors import ConfigurationError

from ..conftest import DEAD_BROKER, dispose
from ..keys import embedded_app
from .test_startup import COMMANDS, run

WEB = {name: COMMANDS[name] for name in ("flask", "gunicorn", "run")}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Flask]:
    """An app on embedded parts without a key."""
    app = create_app({"INSTANCE_PATH": str(tmp_path)})
    yield app
    dispose(app)


def test_of_processes_that_come_at_the_same_time_one_makes_it(tmp_path: Path) -> None:
    code = (
        "import sys; from task_app import create_app, secret_key;"
        "app = create_app({'INSTANCE_PATH': sys.argv[1]}); print('ready', flush=True); sys.stdin.readline();"
        "secret_key.ensure(app); print(app.secret_key)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    (key,) = {process.communicate(timeout=60)[0] for process in processes}
    assert len(bytes.fromhex(key)) == 32
    (file,) = tmp_path.iterdir()
    assert (file.name, file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("secret_key", key, 0o600)


def test_it_stays_the_same(fresh: Flask, tmp_path: Path) -> None:
    secret_key.ensure(fresh)
    again = create_app({"INSTANCE_PATH": str(tmp_path)})
    secret_key.ensure(again)
    assert again.secret_key == fresh.secret_key
    dispose(again)


def test_one_that_is_given_is_taken(tmp_path: Path) -> None:
    app = create_app({"INSTANCE_PATH": str(tmp_path), "SECRET_KEY": "given"})
    secret_key.ensure(app)
    secret_key.demand(app)
    assert app.secret_key == "given"
    assert list(tmp_path.iterdir()) == []
    dispose(app)


@pytest.mark.parametrize("content", ["", " \n", "ä", None], ids=["empty", "blank", "not ASCII", "a folder"])
def test_a_file_that_holds_no_key_is_one_line(fresh: Flask, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "secret_key"
    file.mkdir() if content is None else file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^SECRET_KEY: .*secret_key"):
        secret_key.ensure(fresh)


@pytest.mark.parametrize("command", WEB.values(), ids=list(WEB))
def test_a_web_server_on_servers_demands_it(tmp_path: Path, migrated_sqlite: bytes, command: list[str]) -> None:
    (tmp_path / "real.db").write_bytes(migrated_sqlite)
    ended = run(tmp_path, *command, DATABASE_URL=f"sqlite:///{tmp_path}/real.db")
    errors = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert ended.returncode in (1, 4)
    assert len(errors) == 1 and errors[0].startswith("Error: SECRET_KEY: must be given")
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not (tmp_path / "instance" / "secret_key").exists()


def test_others_do_not_need_it(tmp_path: Path, migrated_sqlite: bytes) -> None:
    (tmp_path / "real.db").write_bytes(migrated_sqlite)
    settings = {"DATABASE_URL": f"sqlite:///{tmp_path}/real.db", "CELERY_BROKER_URL": DEAD_BROKER}
    app = create_app({"INSTANCE_PATH": str(tmp_path), **settings})
    startup.start(app)  # what worker, beat and commands call
    assert app.secret_key is None
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        startup.start_web(app)
    dispose(app)
    ended = run(tmp_path, "flask", "keys", "create", "Anna", "--role", "viewer", DATABASE_URL=settings["DATABASE_URL"])
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("host", "level"),
    [
        ("127.0.0.1", logging.WARNING),
        ("localhost", logging.WARNING),
        ("0.0.0.0", logging.CRITICAL),
        ("::", logging.CRITICAL),
    ],
)
def test_off_is_said_loudly(
    tmp_path: Path, migrated_sqlite: bytes, caplog: pytest.LogCaptureFixture, host: str, level: int
) -> None:
    with embedded_app(tmp_path, migrated_sqlite, AUTH="off", HOST=host, CELERY_BROKER_URL=DEAD_BROKER) as app:
        startup.start_web(app)
    (record,) = [record for record in caplog.records if "AUTH" in record.getMessage()]
    assert record.levelno == level


def test_nothing_is_said_where_everybody_is_asked(
    tmp_path: Path, migrated_sqlite: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded_app(tmp_path, migrated_sqlite, HOST="0.0.0.0", CELERY_BROKER_URL=DEAD_BROKER) as app:
        startup.start_web(app)
    assert "AUTH" not in caplog.text
