"""Fixtures that every kind of test may use."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import upgrade
from sqlalchemy import Engine

from task_app import create_app
from task_app.extensions import db
from task_app.jobs.runtime import JobRuntime
from task_app.testing.apps import dispose

from . import services

pytest_plugins = ["task_app.testing", "pytester"]
__all__ = ["dispose"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what a run can be asked for."""
    parser.addoption("--every-pair", action="store_true", help="acceptance tests on all pairs of database and broker")


@pytest.hookimpl(trylast=True)  # after others have set the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests of a group run in one process: xdist 3.8 notes it where pytest 9.2 no longer reads it (issue 1386)."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None:
            item._id = type(item._id).parse(f"{item.nodeid}@{group.args[0]}")


#: Nothing listens there: submits are accepted all the same and wait in the table.
DEAD_BROKER = "redis://127.0.0.1:1/0"


def settings_for(folder: Path, **more: Any) -> dict[str, Any]:
    """Return settings for an app of its own in a temporary folder."""
    return {
        "TESTING": True,
        "SECRET_KEY": "only for tests",
        "AUTH": "off",
        "WTF_CSRF_ENABLED": False,
        "INSTANCE_PATH": str(folder),
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder / 'test.db'}",
        "CELERY_BROKER_URL": DEAD_BROKER,
        **more,
    }


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the content of a migrated SQLite file; copying it is faster than migrating again."""
    folder = tmp_path_factory.mktemp("template")
    app = create_app(settings_for(folder))
    with app.app_context():
        upgrade()
    dispose(app)
    return (folder / "test.db").read_bytes()


@pytest.fixture
def app(tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Flask]:
    """An app on a migrated SQLite file, with a broker that is away and no worker."""
    (tmp_path / "test.db").write_bytes(migrated_sqlite)
    app = create_app(settings_for(tmp_path))
    yield app
    dispose(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of `app`."""
    return app.test_client()


@pytest.fixture(scope="session", params=services.DATABASES)
def database_app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An app on each database in turn, migrated; its tables are emptied by `every_database`."""
    folder = tmp_path_factory.mktemp(request.param)
    with services.fresh_database(request.param, folder) as url:
        app = create_app(settings_for(folder, SQLALCHEMY_DATABASE_URI=url))
        with app.app_context():
            upgrade()
        yield app
        dispose(app)


@pytest.fixture
def every_database(database_app: Flask) -> Flask:
    """The app of each database in turn, with empty tables."""
    with database_app.app_context(), db.engine.begin() as connection:
        for table in reversed(db.metadata.sorted_tables):
            connection.execute(table.delete())
    return database_app


@pytest.fixture
def engine(every_database: Flask) -> Engine:
    """The kernel's engine on each database in turn."""
    runtime: JobRuntime = every_database.extensions["jobs"]
    return runtime.engine
