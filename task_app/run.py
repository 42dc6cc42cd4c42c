"""Runs everything on one machine: `python -m task_app.run`, which is what `make run` does.

Web server, worker and beat are children in sessions of their own, so that Ctrl-C reaches only this process and
the order of the end is ours. The end of any child is the end of all.
"""

import ctypes
import errno
import http.client
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from honcho.colour import get_colours
from honcho.printer import Message, Printer

from . import create_app, embedded, secret_key, startup
from .errors import ConfigurationError
from .web.announcing import who_may_come_in

WINDOWS = sys.platform == "win32"
WEB_THREADS = 32
WEB_GRACE = 3  # seconds for open requests; event streams would stay for ever
WARM = 8.0  # seconds for the worker to finish what it runs
COLD = 4.0  # seconds from asking harder to SIGKILL
SLOW_WORKER = 20.0
BROKER_INTERVAL = 2.0
PR_SET_PDEATHSIG = 1


class Child:
    """One process and its output."""

    def __init__(self, name: str, command: list[str], **options: Any) -> None:
        self.name = name
        self.ready = threading.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
            **options,
        )

    def send(self, number: int) -> None:
        """Send a signal to the process alone; it knows what to tell its own children."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End the process and all it has left behind."""
        if WINDOWS:
            self.process.kill()
        else:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Output:
    """Prints the lines of all children, each whole and with its child's name."""

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.printer = Printer(sys.stdout, width=len("worker"))
        self.colours = get_colours()
        self.readers: list[threading.Thread] = []

    def follow(self, child: Child) -> None:
        """Take every line of a child's output from now on."""
        reader = threading.Thread(target=self._read, args=(child, next(self.colours)), daemon=True)
        reader.start()
        self.readers.append(reader)

    def _read(self, child: Child, colour: str) -> None:
        for line in child.process.stdout or ():
            if line.rstrip().endswith(b" ready."):  # what a Celery worker says when it takes jobs
                child.ready.set()
            self.say(line, child.name, colour)

    def say(self, line: str | bytes, name: str = "run", colour: str | None = None) -> None:
        """Print a line in its turn. Any thread may call this."""
        self.lines.put(Message("line", line, datetime.now().astimezone(), name, colour))

    def show(self, seconds: float) -> None:
        """Print what arrives within this time."""
        end = time.monotonic() + seconds
        with suppress(queue.Empty):
            while (rest := end - time.monotonic()) > 0:
                self._print(self.lines.get(timeout=rest))

    def finish(self) -> None:
        """Print all that is left; the children have ended."""
        for reader in self.readers:
            reader.join(timeout=1)
        with suppress(queue.Empty):
            while True:
                self._print(self.lines.get_nowait())

    def _print(self, line: Message) -> None:
        with suppress(OSError):  # the terminal is gone; the children still have to be ended
            self.printer.write(line)


class Supervisor:
    """Starts the children and ends them."""

    def __init__(self, app: Flask, listener: socket.socket) -> None:
        self.app = app
        self.config = app.config
        self.instance_path = app.instance_path
        self.listener = listener
        self.host, self.port = listener.getsockname()[:2]
        self.output = Output()
        self.children: list[Child] = []
        self.stops = 0

    def request_stop(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C and SIGTERM. Asking a second time shortens the wait."""
        self.stops += 1

    def run(self) -> int:
        """Run until asked to stop or until a child ends; return the exit status."""
        try:
            self.spawn()
            return self.watch()
        finally:
            self.stop()

    def spawn(self) -> None:
        """Start all children before the first thread: on Linux their set-up runs in a fork of this process."""
        if WINDOWS:
            self.listener.close()
        for name, command in self.commands().items():
            options: dict[str, Any] = {}
            if not WINDOWS:
                options["preexec_fn"] = _follow_parent()
                options["pass_fds"] = [self.listener.fileno()] if name == "web" else []
            self.children.append(Child(name, command, **options))
        self.listener.close()
        for child in self.children:
            self.output.follow(child)
        threading.Thread(target=self.announce, daemon=True).start()

    def commands(self) -> dict[str, list[str]]:
        """The command lines, each after `python -m`."""
        if WINDOWS:
            web = ["flask", "--app", "task_app", "run", "--host", self.host, "--port", str(self.port)]
        else:
            web = ["gunicorn", "--bind", f"fd://{self.listener.fileno()}", "--worker-class", "gthread"]
            web += ["--workers", "1", "--threads", str(WEB_THREADS), "--graceful-timeout", str(WEB_GRACE)]
            web += ["--keep-alive", "5", "--no-control-socket", "--log-level", "warning"]
            web += ["--worker-tmp-dir", "/dev/shm"] if Path("/dev/shm").is_dir() else []  # noqa: S108
            web += ["task_app.wsgi:app"]
        celery = ["celery", "--app", "make_celery"]
        concurrency = str(self.config["WORKER_CONCURRENCY"])
        schedule = str(Path(self.instance_path, "celerybeat-schedule"))
        alone = ["--without-mingle", "--without-gossip"]  # what neighbours know stands in the job table
        return {
            "web": web,
            "worker": [*celery, "worker", "--loglevel", "INFO", "--concurrency", concurrency, *alone],
            "beat": [*celery, "beat", "--loglevel", "INFO", "--schedule", schedule, "--pidfile="],
        }

    def watch(self) -> int:
        """Print and look after the children until it is time to stop."""
        broker_due = time.monotonic() + BROKER_INTERVAL
        while not self.stops:
            self.output.show(0.1)
            for child in self.children:
                if (status := child.process.poll()) is not None and not self.stops:
                    self.output.say(f"{child.name} ended unexpectedly (exit status {status})")
                    return 1
            if self.config["EMBEDDED_BROKER"] and time.monotonic() > broker_due:
                embedded.ensure_running(self.instance_path)
                broker_due = time.monotonic() + BROKER_INTERVAL
        self.output.say("stopping")
        return 0

    def announce(self) -> None:
        """Say once that everything is ready. Runs in a thread of its own."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        worker = next(child for child in self.children if child.name == "worker")
        while not _is_healthy(host, self.port):
            time.sleep(0.05)
        if not worker.ready.wait(SLOW_WORKER):
            self.output.say("the worker isn't ready yet; jobs wait in the database")
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{self.port}"
        self.output.say(f"task_app is ready: {address}")
        with self.app.app_context():
            self.output.say(who_may_come_in(self.host))

    def stop(self) -> None:
        """End every child, politely first, then the embedded broker if nobody else uses it."""
        for child in self.children:
            child.send(signal.SIGTERM)
        if not self.ended_within(WARM):
            for child in self.children:
                child.send(signal.SIGTERM if WINDOWS else signal.SIGQUIT)
            self.ended_within(COLD)
        for child in self.children:
            child.kill()
        self.output.finish()
        if self.config["EMBEDDED_BROKER"]:
            self.stop_broker()

    def ended_within(self, seconds: float) -> bool:
        """Wait for all children; asking to stop once more ends the wait."""
        end = time.monotonic() + seconds
        stops = max(self.stops, 1)
        while any(child.process.poll() is None for child in self.children):
            if time.monotonic() > end or self.stops > stops:
                return False
            self.output.show(0.05)
        return True

    def stop_broker(self) -> None:
        """Stop it, unless another process, a `flask run` perhaps, is connected."""
        for _ in range(10):  # connections of the children that just ended may linger
            status = embedded.status(self.instance_path)
            if status is None or status.clients == 0:
                embedded.stop(self.instance_path)
                return
            time.sleep(0.05)


def main() -> int:
    """Start everything; return the exit status."""
    with startup.one_line_errors():
        app = create_app()
        supervisor = Supervisor(app, _listen(app.config["HOST"], app.config["PORT"]))
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), supervisor.request_stop)
        startup.start(app)
        secret_key.demand(app)
        return supervisor.run()


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before anything else is started; the web server inherits the socket."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ConfigurationError("HOST", f"{host!r} is no address of this machine") from None
    listener = socket.socket(family, kind, protocol)
    try:
        if not WINDOWS:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError("PORT", f"{port} is taken on {host}") from None
        if error.errno == errno.EACCES:
            raise ConfigurationError("PORT", f"this user may not listen on {port}") from None
        raise ConfigurationError("HOST", f"can't listen on {host!r}: {error.strerror}") from None
    return listener


def _follow_parent() -> Callable[[], object] | None:
    """What a child does first: on Linux, ask for SIGTERM if this process is killed and can't send it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _is_healthy(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
