"""The servers that tests may use: where they are, whether they answer, and how to get a fresh database or queue on
them.

URLs come from the environment (`TEST_POSTGRESQL_URL` …), else the standard local ports are tried. A server that doesn't
answer skips its tests, and says so; with `CI=true` it fails them.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from kombu import Connection
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

URLS = {
    "postgresql": os.environ.get("TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/mysql"),
    "redis": os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0"),
    "rabbitmq": os.environ.get("TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//"),
}
DATABASES = ("sqlite", "postgresql", "mariadb")
BROKERS = ("embedded", "redis", "rabbitmq")


@cache
def problem_with(service: str) -> str | None:
    """Return why a server can't be used, or None."""
    if service in ("sqlite", "embedded"):
        return None
    try:
        if service in DATABASES:
            engine = create_engine(URLS[service], connect_args={"connect_timeout": 3})
            with engine.connect():
                pass
            engine.dispose()
        else:
            with Connection(URLS[service], connect_timeout=3) as connection:
                connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:  # noqa: BLE001 - whatever it is, the server can't be used
        return f"{service} does not answer at {URLS[service]}: {(str(error).splitlines() or [repr(error)])[0]}"
    return None


def need(service: str) -> None:
    """Skip the running test if a server is missing; fail it in CI."""
    problem = problem_with(service)
    if problem is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(problem)
    pytest.skip(problem)


@contextmanager
def fresh_database(kind: str, folder: Path) -> Iterator[str]:
    """Make an empty database and drop it afterwards; yields its URL."""
    need(kind)
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'test.db'}"
        return
    name = f"task_app_test_{uuid.uuid4().hex[:12]}"
    server = create_engine(URLS[kind], isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(URLS[kind]).set(database=name).render_as_string(hide_password=False)
    finally:
        with server.connect() as connection:
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        server.dispose()


@contextmanager
def fresh_queue(kind: str) -> Iterator[tuple[str | None, str]]:
    """Yield the URL of a broker (None: the embedded one) and the name of a queue nobody else uses."""
    need(kind)
    queue = f"test-{uuid.uuid4().hex[:12]}"
    url = URLS.get(kind)
    yield url, queue
    if url is not None:
        with Connection(url) as connection:
            channel = connection.channel()
            with suppress(*connection.channel_errors):
                channel.queue_delete(queue)
