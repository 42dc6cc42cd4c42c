"""Private databases and brokers, for tests that kill, restart, freeze and empty them.

The machine's servers are shared and stay untouched: each server here has a folder under /tmp, ports of its own and an
account that may run it, so that any number are up at once, in any number of test processes.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, ClassVar

import psutil
import pytest
from amqp import Connection
from amqp.exceptions import AMQPError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from ..acceptance.stack import answers, until
from . import ports

DATABASE = "task_app"
ANSWER_WITHIN = 3  # seconds that a single question may take while a server starts
ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


class Server(ABC):
    """A server of this test alone. Nothing of it outlives `close()`; its port and data outlive `kill()`."""

    account: ClassVar[str]  # who runs it when the tests run as root, where there is such an account
    programs: ClassVar[tuple[str, ...]]
    url: str

    def __init__(self) -> None:
        self._programs = {name: _program(name) for name in self.programs}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._account = _account(self.account)
        # Not pytest's folders: only their owner may enter them, and paths of Unix sockets must be short.
        self.folder = Path(tempfile.mkdtemp(prefix=f"chaos-{type(self).__name__.lower()}-", dir="/tmp"))
        self._data = self.folder / "data"
        self._log = self.folder / "server.log"
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        self._own(self.folder)

    # -- what kinds differ in --------------------------------------------------------------------------------------

    @abstractmethod
    def _create(self) -> None:
        """Write what must be on disk before the first start; the data folder is there and empty."""

    @abstractmethod
    def _launch(self) -> None:
        """Start the processes."""

    @abstractmethod
    def _answers(self) -> bool:
        """Say whether a question over a connection of a client is answered."""

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that were started; theirs are not among them."""
        return tuple(process.pid for process in self._processes)

    # -- what tests do to it ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it on the data it has, and return when it answers."""
        if not self._data.exists():
            self._data.mkdir()
            self._own(self._data)
            self._create()
        self._launch()
        until(self._is_ready, f"{type(self).__name__} in {self.folder}")

    def kill(self) -> None:
        """End all its processes as a power cut would; its data stays on disk."""
        members = self._halted()
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()
        until(lambda: all(_has_ended(member) for member in members), f"the end of {members}")
        # The last threads of a process that has ended as far as one can see may still have its sockets.
        until(lambda: not answers(self.port), f"nobody to listen on port {self.port}")

    def restart(self) -> None:
        """Kill it and start it on the same data and port."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop all its processes: the kernel goes on accepting connections and bytes, but nobody answers."""
        self._halted()

    def thaw(self) -> None:
        """Let it go on after `freeze()`."""
        for member in self._members():
            with suppress(psutil.NoSuchProcess):  # its parent, already awake, may have ended it
                member.resume()

    def close(self) -> None:
        """Leave nothing behind: no process, no folder, no port."""
        self.kill()
        self._reserved.close()
        if self.folder.exists():
            shutil.rmtree(self.folder)

    # -- processes -------------------------------------------------------------------------------------------------

    def _run(self, *command: str | Path) -> None:
        """Run a command as the server's account to its end."""
        with self._log.open("ab") as log:
            done = self._popen(log, *command).wait()
        assert done == 0, f"{command} ended with {done}:\n{self.output()}"

    def _spawn(self, *command: str | Path) -> None:
        """Start a process that belongs to the server."""
        with self._log.open("ab") as log:
            self._processes.append(self._popen(log, *command))

    def _popen(self, log: IO[bytes], *command: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment(),
            user=self._account.pw_uid if self._account else None,
            group=self._account.pw_gid if self._account else None,
            extra_groups=[] if self._account else None,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # an interrupted test run closes it; the terminal's Ctrl-C must not come first
        )

    def _environment(self) -> dict[str, str]:
        """Return all it gets to know: what the developer has set for other servers isn't meant for this one."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "TMPDIR": str(self.folder), "LC_ALL": "C.UTF-8"}

    def _own(self, path: Path) -> None:
        """Give a file or folder to the server's account."""
        if self._account:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _is_ready(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"{process.args!r} ended with {process.returncode}:\n{self.output()}"
        return self._answers()

    def output(self) -> str:
        """Return what its processes printed."""
        return self._log.read_text(errors="replace")

    def _members(self) -> Iterator[psutil.Process]:
        """Yield all its processes; asks for the children of each only after whoever iterates has dealt with it."""
        waiting = [psutil.Process(process.pid) for process in self._processes if process.poll() is None]
        while waiting:
            member = waiting.pop()
            yield member
            with suppress(psutil.NoSuchProcess):
                waiting += member.children()

    def _halted(self) -> list[psutil.Process]:
        """Stop all its processes and return them. A stopped one has no more children, so that none is missed."""
        halted = []
        for member in self._members():
            with suppress(psutil.NoSuchProcess):
                member.suspend()
                until(lambda member=member: _is_halted(member), f"{member} to stop")  # type: ignore[misc]
                halted.append(member)
        return halted


class Broker(Server):
    """A server of messages, which may lose them."""

    @abstractmethod
    def empty(self) -> None:
        """Forget every message, while running."""

    def restart_empty(self) -> None:
        """Kill it and start it on the same port, as a machine that lost its disk."""
        self.kill()
        shutil.rmtree(self._data)
        self.start()


class Database(Server):
    """A server of SQL, with an empty database for the service."""

    system_database: ClassVar[str]
    patience: ClassVar[dict[str, int]]  # the driver's timeouts, in seconds: a server may hang, a question must not

    def __init__(self) -> None:
        super().__init__()
        self._has_database = False
        self.url = self._url(DATABASE)
        self._server_url = self._url(self.system_database)

    def start(self) -> None:
        """Start it, the first time with an empty database, and return when that answers."""
        super().start()
        if not self._has_database:
            self._execute(self._server_url, f"CREATE DATABASE {DATABASE}")
            self._has_database = True

    @abstractmethod
    def _url(self, database: str) -> str:
        """Return the URL of one of its databases."""

    def _answers(self) -> bool:
        try:
            self._execute(self.url if self._has_database else self._server_url, "SELECT 1")
        except DBAPIError:
            return False
        return True

    def _execute(self, url: str, statement: str) -> None:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=self.patience)
        with engine.connect() as connection:
            connection.execute(text(statement))


class PostgreSQL(Database):
    """PostgreSQL with its usual durability: what was committed survives `kill()`."""

    account = "postgres"
    programs = ("initdb", "postgres")
    system_database = "postgres"
    patience: ClassVar = {"connect_timeout": ANSWER_WITHIN}

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@{ports.HOST}:{self.port}/{database}"

    def _create(self) -> None:
        # --no-sync: these files needn't survive the machine, only the server's processes.
        options = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync")
        self._run(self._programs["initdb"], "--pgdata", self._data, *options)

    def _launch(self) -> None:
        settings = {
            "listen_addresses": ports.HOST,
            "port": self.port,
            "unix_socket_directories": self.folder,
            "shared_buffers": "32MB",
            "max_connections": 200,
            "dynamic_shared_memory_type": "mmap",  # in its folder: those in /dev/shm would survive `close()`
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self._spawn(self._programs["postgres"], "-D", self._data, *options)

    def close(self) -> None:
        """Leave nothing behind, nor the System V segment that a killed postmaster leaves until its next start."""
        self.kill()
        with suppress(FileNotFoundError):
            segment = (self._data / "postmaster.pid").read_text().splitlines()[6].split()[1]
            subprocess.run(["ipcrm", "--shmem-id", segment], check=False)
        super().close()


class MariaDB(Database):
    """MariaDB with its usual durability: what was committed survives `kill()`."""

    account = "mysql"
    programs = ("mariadb-install-db", "mariadbd")
    system_database = "mysql"
    patience: ClassVar = {"connect_timeout": ANSWER_WITHIN, "read_timeout": ANSWER_WITHIN}

    def _url(self, database: str) -> str:
        return f"mysql+pymysql://root@{ports.HOST}:{self.port}/{database}"

    def _create(self) -> None:
        options = ("--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        self._run(self._programs["mariadb-install-db"], *self._files(), *options)

    def _launch(self) -> None:
        self._spawn(
            self._programs["mariadbd"],
            *self._files(),
            f"--bind-address={ports.HOST}",
            f"--port={self.port}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            "--max-connections=200",
            "--character-set-server=utf8mb4",
        )

    def _files(self) -> tuple[str, ...]:
        small = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M")
        return ("--no-defaults", f"--datadir={self._data}", *small)


class RedisServer(Broker):
    """Redis with an append-only file: a restart keeps the messages."""

    account = "redis"
    programs = ("redis-server",)

    def __init__(self) -> None:
        super().__init__()
        self.url = f"redis://{ports.HOST}:{self.port}/0"

    def _create(self) -> None:
        """Nothing: it makes its files itself."""

    def _launch(self) -> None:
        files = ("--dir", self._data, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
        self._spawn(self._programs["redis-server"], "--bind", ports.HOST, "--port", str(self.port), *files)

    def _client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=ANSWER_WITHIN, retry=Retry(NoBackoff(), 0))

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except RedisError:
            return False

    def empty(self) -> None:
        """Forget every message, while running."""
        with self._client() as client:
            client.flushall()


class RabbitMQ(Broker):
    """RabbitMQ as a node of its own: own cookie, own settings, and its own epmd beside the machine's."""

    account = "rabbitmq"
    programs = ("epmd", "rabbitmq-server", "rabbitmqctl")

    def __init__(self) -> None:
        super().__init__()
        self.url = f"amqp://guest:guest@{ports.HOST}:{self.port}//"
        self._node = f"chaos-{secrets.token_hex(6)}@localhost"
        self._internal = [ports.reserve(), ports.reserve()]
        self._node_port, self._epmd_port = map(ports.number, self._internal)
        self._settings = self.folder / "rabbitmq.conf"
        self._plugins = self.folder / "plugins"

    def _environment(self) -> dict[str, str]:
        return {
            **super()._environment(),
            "ERL_EPMD_ADDRESS": ports.HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self._settings),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._plugins),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_MNESIA_BASE": str(self._data),
            "RABBITMQ_NODENAME": self._node,
            # Erlang's schedulers would turn round and round while they wait, at the cost of all other tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def _create(self) -> None:
        self._settings.write_text(f"listeners.tcp.1 = {ports.HOST}:{self.port}\n")
        self._plugins.write_text("[].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o400)
            self._own(cookie)
            cookie.write_text(secrets.token_hex(16))

    def _launch(self) -> None:
        # One of our own, because the server would leave behind the one it starts.
        self._spawn(self._programs["epmd"], "-port", str(self._epmd_port), "-address", ports.HOST)
        until(lambda: answers(self._epmd_port), "epmd")
        self._spawn(self._programs["rabbitmq-server"])

    def _answers(self) -> bool:
        try:
            # Not kombu's: that one sleeps for seconds before it tries again.
            with Connection(f"{ports.HOST}:{self.port}", connect_timeout=ANSWER_WITHIN):
                pass
        except (OSError, AMQPError):
            return False
        return True

    def empty(self) -> None:
        """Forget every message that no consumer holds, while running."""
        self._run(self._programs["rabbitmqctl"], "eval", "[rabbit_amqqueue:purge(Q) || Q <- rabbit_amqqueue:list()].")

    def close(self) -> None:
        """Leave nothing behind: no process, no folder, no port."""
        super().close()
        for reserved in self._internal:
            reserved.close()


KINDS: dict[str, type[Server]] = {
    "postgresql": PostgreSQL,
    "mariadb": MariaDB,
    "redis": RedisServer,
    "rabbitmq": RabbitMQ,
}


@contextmanager
def server(kind: str) -> Iterator[Server]:
    """Yield a server of its own, started; skips the test if a program is missing, and fails it in CI."""
    started = KINDS[kind]()
    try:
        started.start()
        yield started
    finally:
        started.close()


@contextmanager
def broker(kind: str) -> Iterator[Broker]:
    """Yield a broker of its own, started."""
    with server(kind) as started:
        assert isinstance(started, Broker), f"{kind} is no broker"
        yield started


def _program(name: str) -> Path:
    """Find a program of a server, also where Debian keeps those that aren't commands."""
    newest_first = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    places = [*newest_first, Path("/usr/lib/rabbitmq/bin")]
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ["PATH"], "/usr/sbin"]))
    if found:
        return Path(found)
    problem = f"{name} isn't installed"
    if os.environ.get("CI") == "true":
        pytest.fail(problem)
    pytest.skip(problem)


def _account(name: str) -> pwd.struct_passwd | None:
    """Return the account to run a server as; None: ourselves, because we aren't root or it has no account here."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def _is_halted(process: psutil.Process) -> bool:
    return process.status() in (psutil.STATUS_STOPPED, *ENDED)


def _has_ended(process: psutil.Process) -> bool:
    """Say whether a process is gone; a zombie is, whether or not somebody asks for its exit code."""
    try:
        return not process.is_running() or process.status() in ENDED
    except psutil.NoSuchProcess:
        return True
