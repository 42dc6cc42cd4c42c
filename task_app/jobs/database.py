"""How the kernel talks to the database: its own engine, one statement one transaction.

The moves of a job are single guarded statements, so they run in autocommit mode: one round trip each, and nothing of a
task author's own transaction can be committed or rolled back with them. What needs several statements uses
`transaction`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

#: Seconds to wait for a connection to the server before giving up, and for SQLite's write lock.
CONNECT_TIMEOUT = 5
SQLITE_BUSY_TIMEOUT = 30


def engine_options(url: str) -> dict[str, Any]:
    """Return the `create_engine` options that every engine on this database needs."""
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        return {"connect_args": {"timeout": SQLITE_BUSY_TIMEOUT}}
    # The ping costs nothing on SQLite and would be a round trip per checkout elsewhere, so broken connections are
    # recycled by age and by the retry of whoever met one.
    return {"connect_args": {"connect_timeout": CONNECT_TIMEOUT}, "pool_recycle": 1800}


def kernel_engine(url: str) -> Engine:
    """Build the engine for single-statement moves.

    Its pool has no ceiling worth hitting: a process has at most a thread per request or task.
    """
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=10, max_overflow=100, **engine_options(url))
    prepare(engine)
    return engine


def prepare(engine: Engine) -> None:
    """Set what a connection must have; a no-op for servers."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)


def _prepare_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    # WAL lets readers go on while one writes. FULL, not NORMAL: an accepted job and an outcome must survive power loss.
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run several statements in one transaction of the kernel's engine; commit at the end, roll back on any error."""
    if engine.dialect.name == "sqlite":
        # A deferred transaction that reads first may find itself unable to write later; take the write lock at once.
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
    else:
        # READ COMMITTED: MariaDB's default would lock gaps between rows and deadlock concurrent inserts.
        with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
            yield connection
