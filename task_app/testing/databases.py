"""Apps with a database for tests. Migrated once: a SQLite file is copied for each test, a server's database emptied."""

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.engine import make_url

from .. import urls
from ..errors import ConfigurationError
from ..extensions import db
from ..factory import create_app
from ..jobs.runtime import JobRuntime
from .apps import dispose, settings_for
from .publisher import EndedPublisher

VARIABLE = "TASK_APP_TEST_DATABASE"
FILE = "task_app_test.db"


class Database(ABC):
    """Where the apps of a run have their tables."""

    @abstractmethod
    def url_for(self, folder: Path) -> str:
        """Return the URL for an app in this folder; the tables of the service are there."""

    @abstractmethod
    def prepare(self, app: Flask) -> None:
        """Empty the tables of an app that was made with the URL, and add those of models of the user's own."""


class SqliteFiles(Database):
    """A file for each test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _template(self) -> bytes:
        """The content of a migrated file; copying it is faster than migrating again."""
        file = self._folder / FILE
        self._tables = _migrate(f"sqlite:///{file}", self._folder)
        return file.read_bytes()

    def url_for(self, folder: Path) -> str:
        """Copy the template."""
        file = folder / FILE
        file.write_bytes(self._template)
        return f"sqlite:///{file}"

    def prepare(self, app: Flask) -> None:
        """Add tables; a file that nobody needs after the test needs no flush either."""
        runtime: JobRuntime = app.extensions["jobs"]
        with app.app_context():
            for engine in (runtime.engine, db.engine):
                event.listen(engine, "connect", _without_flush)
            if set(db.metadata.tables) - self._tables:
                db.create_all()


def _without_flush(connection: Any, entry: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF").close()


class ServerDatabase(Database):
    """One database for all tests of the run, emptied for each."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._tables = _migrate(url, folder)

    def url_for(self, folder: Path) -> str:
        """Return the same for all."""
        return self._url

    def prepare(self, app: Flask) -> None:
        """Add tables, and delete all rows."""
        with app.app_context():
            if set(db.metadata.tables) - self._tables:
                db.create_all()
            with db.engine.begin() as connection:
                for table in reversed(db.metadata.sorted_tables):
                    connection.execute(table.delete())


@contextmanager
def app_on(database: Database, folder: Path, settings: Mapping[str, Any]) -> Iterator[Flask]:
    """Yield an app with an empty job table; close afterwards what it has open."""
    app = create_app({**settings_for(folder, database.url_for(folder)), **settings}, environment=False)
    try:
        runtime: JobRuntime = app.extensions["jobs"]
        runtime.marks.at_once()  # no thread that writes after the test
        database.prepare(app)
        yield app
        runtime.publisher = EndedPublisher(app.extensions["celery"], app)
    finally:
        dispose(app)


@contextmanager
def database(folders: pytest.TempPathFactory) -> Iterator[Database]:
    """Yield what `TASK_APP_TEST_DATABASE` asks for; without it, SQLite files."""
    url, folder = os.environ.get(VARIABLE), folders.mktemp("task_app")
    if not url:
        yield SqliteFiles(folder)
        return
    try:
        url = urls.database(url)
    except ValueError as error:
        raise pytest.UsageError(str(ConfigurationError(VARIABLE, str(error)))) from None
    with _new_database_beside(url) as beside:
        yield ServerDatabase(beside, folder)


@contextmanager
def _new_database_beside(url: str) -> Iterator[str]:
    """Make a database on the server of another one, which stays untouched, and drop it afterwards."""
    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        raise pytest.UsageError(f"{VARIABLE}: names a SQLite file; without it, each test has one of its own")
    name = f"{parts.database}_test_{uuid.uuid4().hex[:12]}"
    server = create_engine(parts, isolation_level="AUTOCOMMIT")
    quoted = server.dialect.identifier_preparer.quote(name)
    _run(server, f"CREATE DATABASE {quoted}")
    try:
        yield parts.set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if parts.get_backend_name() == "postgresql" else ""
        _run(server, f"DROP DATABASE {quoted}{force}")
        server.dispose()


def _run(server: Engine, statement: str) -> None:
    with server.connect() as connection:
        connection.exec_driver_sql(statement)


def _migrate(url: str, folder: Path) -> set[str]:
    """Make the tables of the service; return the names of all that are there."""
    app = create_app(settings_for(folder, url), environment=False)
    with app.app_context():
        upgrade()
        tables = set(inspect(db.engine).get_table_names())
    dispose(app)
    return tables
