"""A pytest plugin for tests of tasks: rows are true, nothing is mocked, and neither broker nor worker is needed.

It is loaded by itself where this package is installed; `pytest_plugins = ["task_app.testing"]` does the same. Nothing
of the service is imported before a test asks for one of these fixtures:

| fixture | |
|---|---|
| `task_app` | an app on a database of its own, with an empty job table |
| `task_app_client` | an HTTP client of that app |
| `jobs` | what is in the job table, and the way to run it: see `Jobs` |
| `task_app_settings` | settings for `task_app`; override it to give your own |

The database is a SQLite file in the test's `tmp_path`. With `TASK_APP_TEST_DATABASE` set to the URL of a PostgreSQL or
MariaDB database, a new one is made beside it for the run, emptied before each test, and dropped at the end.

PYTEST_DONT_REWRITE: nothing here asserts, and a conftest that imports it as well shall not be warned.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from .databases import Database
    from .jobs_in_test import Jobs, TooManyJobs

__all__ = ["Jobs", "TooManyJobs"]


def __getattr__(name: str) -> Any:
    """Import the service when it is asked for: pytest loads this module also where no test uses it."""
    if name in __all__:
        return getattr(import_module(".jobs_in_test", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@pytest.fixture(scope="session")
def _task_app_database(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Database]":
    """What every `task_app` gets its database from."""
    from .databases import database

    with database(tmp_path_factory) as found:
        yield found


@pytest.fixture
def task_app_settings() -> dict[str, Any]:
    """Settings for `task_app`, over those that keep a test to itself. Override this fixture to give your own."""
    return {}


@pytest.fixture
def task_app(tmp_path: Path, _task_app_database: "Database", task_app_settings: dict[str, Any]) -> "Iterator[Flask]":
    """An app on a database of its own. Nobody has to sign in; what is published waits in the job table."""
    from .databases import app_on

    with app_on(_task_app_database, tmp_path, task_app_settings) as app:
        yield app


@pytest.fixture
def task_app_client(task_app: "Flask") -> "FlaskClient":
    """An HTTP client of `task_app`."""
    return task_app.test_client()


@pytest.fixture
def jobs(task_app: "Flask") -> "Jobs":
    """The jobs of `task_app`: look at them and run them."""
    from .jobs_in_test import Jobs

    return Jobs(task_app)
