"""How the kernel talks to the database: its own engine, one statement one transaction.

The moves of a job are single guarded statements, so they run in autocommit mode: one round trip each, and nothing of a
task author's own transaction can be committed or rolled back with them. What needs several statements uses
`transaction`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry

from .histogram import bucket_of

T = TypeVar("T")

#: Seconds to wait for a connection to the server before giving up, and for SQLite's write lock.
CONNECT_TIMEOUT = 5
#: Seconds that a single statement may take where the driver can't watch the connection otherwise.
ANSWER_TIMEOUT = 30
SQLITE_BUSY_TIMEOUT = 30


#: MariaDB and MySQL end one of several transactions that wait for each other; it may simply be tried again.
DEADLOCKS = (1205, 1213)
TRIES = 10


def engine_options(url: str) -> dict[str, Any]:
    """Return the `create_engine` options that every engine on this database needs."""
    backend = make_url(url).get_backend_name()
    if backend == "sqlite":
        return {"connect_args": {"timeout": SQLITE_BUSY_TIMEOUT}}
    patience: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT}
    if backend in ("mysql", "mariadb"):
        # The default would lock the gaps between rows, and moves of different jobs would wait for each other.
        patience |= {"read_timeout": ANSWER_TIMEOUT, "write_timeout": ANSWER_TIMEOUT}
        patience["init_command"] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    if backend == "postgresql":
        # A connection that is dead without a word is noticed in seconds, not in the hours of TCP's defaults.
        patience |= {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
    # The ping costs nothing on SQLite and would be a round trip per checkout elsewhere, so broken connections are
    # recycled by age and by the retry of whoever met one.
    return {"connect_args": patience, "pool_recycle": 1800}


def kernel_engine(url: str) -> Engine:
    """Build the engine for single-statement moves.

    Its pool has no ceiling worth hitting: a process has at most a thread per request or task.
    """
    options = engine_options(url)
    if make_url(url).get_backend_name() != "sqlite":
        # In autocommit nothing is left to roll back when a connection comes back; `transaction` ends what it begins.
        options["pool_reset_on_return"] = None
    engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_size=10, max_overflow=100, **options)
    prepare(engine)
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _prepare_postgresql)
    if engine.dialect.name in ("mysql", "mariadb"):
        event.listen(engine, "connect", _prepare_mariadb)
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
    connection.create_function("duration_bucket", 1, bucket_of, deterministic=True)


def _prepare_postgresql(connection: Any, entry: ConnectionPoolEntry) -> None:
    # Our transactions take milliseconds. One whose process was suspended in its middle must not keep its locks.
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '10s'")
    connection.commit()


def _prepare_mariadb(connection: Any, entry: ConnectionPoolEntry) -> None:
    # The same; MySQL knows no such limit.
    with connection.cursor() as cursor, suppress(connection.OperationalError):
        cursor.execute("SET SESSION idle_write_transaction_timeout = 10")


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
        try:
            with engine.execution_options(isolation_level="READ COMMITTED").begin() as connection:
                yield connection
        except engine.dialect.loaded_dbapi.Error as error:
            # Setting the level is no statement, and SQLAlchemy leaves the driver's error as it is.
            raise OperationalError(None, None, error) from error


def unless_deadlocked(connection: Connection, run: Callable[[], T]) -> T:
    """Run one statement; again when MariaDB has ended it to break a deadlock.

    Only where the statement is its own transaction: of a longer one, the whole would have to be run again.
    """
    alone = "isolation_level" not in connection.get_execution_options()
    for _ in range(TRIES if alone else 1):
        try:
            return run()
        except OperationalError as error:
            if error.orig is None or not error.orig.args or error.orig.args[0] not in DEADLOCKS:
                raise
            deadlock = error
    raise deadlock
