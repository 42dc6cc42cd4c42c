"""The database and the broker of a run: private servers, or the embedded ones, with the same faults."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

from task_app import embedded

from . import servers

PAIRS = ("sqlite+embedded", "postgresql+redis", "postgresql+rabbitmq", "mariadb+redis")

#: Holds SQLite's write lock, says so, and lets it go when its input ends.
HOLD_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


class Database(Protocol):
    """What the faults do to a database."""

    @property
    def crashes(self) -> Sequence[float]:
        """When it died and may have forgotten what needn't wait for the disk (seconds since the epoch)."""

    def take_away(self) -> None:
        """Nobody can write any more."""

    def give_back(self) -> None:
        """It answers again, with all that was committed."""


class Broker(Protocol):
    """What the faults do to a broker."""

    def restart(self) -> None:
        """Kill it; it comes back with the messages it had on disk."""

    def empty(self) -> None:
        """It forgets every message."""

    def freeze(self) -> None:
        """It accepts connections and never answers."""

    def thaw(self) -> None:
        """It goes on."""


@dataclass(frozen=True)
class Parts:
    """What a service is built on; `broker_url` None: the embedded broker."""

    database: Database
    broker: Broker
    database_url: str
    broker_url: str | None

    def nobody_can_write(self) -> bool:
        """Say whether a process that was just stopped has the write lock of the file: then nobody can give it up."""
        return isinstance(self.database, SQLiteFile) and self.database.is_locked()


class Server:
    """A database server, which can be killed and started again."""

    def __init__(self, server: servers.Server) -> None:
        self._server = server
        self.crashes: list[float] = []

    def take_away(self) -> None:
        """Kill it."""
        if isinstance(self._server, servers.PostgreSQL):  # MariaDB keeps whatever it has said it would
            self.crashes.append(time.time())
        self._server.kill()

    def give_back(self) -> None:
        """Start it on the same data."""
        self._server.start()


class SQLiteFile:
    """A file can't be killed; what happens to it is that somebody holds its write lock for long."""

    crashes: Sequence[float] = ()

    def __init__(self, file: Path) -> None:
        self._file = file
        self._holder: subprocess.Popen[str] | None = None

    def take_away(self) -> None:
        """Let another process hold the write lock; returns when it does."""
        self._holder = subprocess.Popen(
            [sys.executable, "-c", HOLD_LOCK, str(self._file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "held\n"

    def is_locked(self) -> bool:
        """Say whether somebody is in the middle of a write, and stays there."""
        with closing(sqlite3.connect(self._file, timeout=0.5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            connection.execute("ROLLBACK")
            return False

    def give_back(self) -> None:
        """Let that process go."""
        if self._holder is not None:
            self._holder.communicate("")
            self._holder = None


class EmbeddedBroker:
    """The server under the instance folder. Nobody restarts it but the service itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._frozen: int | None = None

    def restart(self) -> None:
        """Kill it; the next who needs it starts it."""
        self._signal(signal.SIGKILL)

    def empty(self) -> None:
        """Forget every message, if it is there to do so."""
        path = embedded.broker_url(self._folder).removeprefix("redis+socket://").partition("?")[0]
        with suppress(RedisError), Redis(unix_socket_path=path, socket_timeout=3) as client:
            client.flushall()

    def freeze(self) -> None:
        """Stop it."""
        self._frozen = self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, unless somebody has replaced it meanwhile."""
        if self._frozen is not None:
            with suppress(ProcessLookupError):
                os.kill(self._frozen, signal.SIGCONT)
            self._frozen = None

    def _signal(self, number: signal.Signals) -> int | None:
        found = embedded.status(self._folder)
        if found is None:
            return None
        with suppress(ProcessLookupError):
            os.kill(found.pid, number)
        return found.pid


@contextmanager
def parts(pair: str, folder: Path) -> Iterator[Parts]:
    """Start the servers of a pair and end them afterwards."""
    database, _, broker = pair.partition("+")
    with ExitStack() as stack:
        if pair == "sqlite+embedded":
            file = folder / "test.db"
            yield Parts(SQLiteFile(file), EmbeddedBroker(folder), f"sqlite:///{file}", None)
            return
        database_server = stack.enter_context(servers.server(database))
        broker_server = stack.enter_context(servers.broker(broker))
        yield Parts(Server(database_server), broker_server, database_server.url, broker_server.url)
