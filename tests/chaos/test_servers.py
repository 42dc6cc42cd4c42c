"""The private servers: they start, remember what they should, hang when told to and leave nothing behind."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

import psutil
import pytest
from amqp.exceptions import ChannelError
from kombu import Connection
from sqlalchemy import NullPool, create_engine, text

from ..acceptance.stack import PATIENCE
from . import ports
from .servers import KINDS, Broker, Database, Server, server

HANGS = 0.5  # seconds without an answer that are taken for freezing


def _grouped(kinds: list[str]) -> list[object]:
    return [pytest.param(kind, marks=pytest.mark.xdist_group(f"chaos-{kind}")) for kind in kinds]


EVERY = _grouped(list(KINDS))
#: Signals are the same for all; RabbitMQ, whose start costs as much as all others together, is spared the repetition.
ALL_BUT_RABBITMQ = _grouped([kind for kind in KINDS if kind != "rabbitmq"])
BROKERS = _grouped([kind for kind, made in KINDS.items() if issubclass(made, Broker)])


@pytest.fixture(scope="module")
def running() -> Iterator[Callable[[str], Server]]:
    """Give the server of a kind that the tests of this module share; it's started when first asked for."""
    with ExitStack() as servers:
        yield cache(lambda kind: servers.enter_context(server(kind)))


@pytest.fixture
def private(request: pytest.FixtureRequest, running: Callable[[str], Server]) -> Server:
    """A running server of the kind that the test is for."""
    return running(request.param)


every_kind = pytest.mark.parametrize("private", EVERY, indirect=True)
nearly_every_kind = pytest.mark.parametrize("private", ALL_BUT_RABBITMQ, indirect=True)
every_broker = pytest.mark.parametrize("private", BROKERS, indirect=True)


def write(private: Server) -> None:
    """Leave something that a durable server remembers."""
    if isinstance(private, Database):
        _execute(private, "CREATE TABLE IF NOT EXISTS kept (number INTEGER)")
        _execute(private, "INSERT INTO kept VALUES (1)")
    else:
        with Connection(private.url, transport_options={"confirm_publish": True}) as connection:
            connection.SimpleQueue("kept").put({}, delivery_mode="persistent")


def remembers(private: Server) -> bool:
    """Say whether something was left, without taking it away."""
    if isinstance(private, Database):
        return bool(_execute(private, "SELECT count(*) FROM kept"))
    with Connection(private.url) as connection, suppress(ChannelError):  # Redis has no empty queues
        return bool(connection.SimpleQueue("kept").qsize())
    return False


def _execute(private: Server, statement: str) -> int | None:
    engine = create_engine(private.url, poolclass=NullPool)
    with engine.begin() as connection:
        done = connection.execute(text(statement))
        return done.scalar() if done.returns_rows else None


@every_kind
def test_what_was_written_survives_a_kill(private: Server) -> None:
    write(private)
    private.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ports.HOST, private.port))
    private.start()
    assert remembers(private)


@nearly_every_kind
def test_a_frozen_server_lets_clients_wait_until_it_thaws(private: Server) -> None:
    write(private)
    with ThreadPoolExecutor(1) as client:
        private.freeze()
        try:
            answer = client.submit(remembers, private)
            with pytest.raises(TimeoutError):
                answer.result(HANGS)
        finally:
            private.thaw()
        assert answer.result(PATIENCE)


@nearly_every_kind
def test_a_frozen_server_can_be_restarted(private: Server) -> None:
    write(private)
    private.freeze()
    private.restart()
    assert remembers(private)


@every_broker
def test_empty_forgets_every_message(private: Broker) -> None:
    write(private)
    assert remembers(private)
    private.empty()
    assert not remembers(private)


@every_broker
def test_restart_empty_forgets_every_message_and_keeps_the_port(private: Broker) -> None:
    write(private)
    url = private.url
    private.restart_empty()
    assert private.url == url
    assert not remembers(private)


@nearly_every_kind
def test_two_of_a_kind_know_nothing_of_each_other(request: pytest.FixtureRequest, private: Server) -> None:
    with server(request.node.callspec.params["private"]) as other:
        assert {other.url, other.folder}.isdisjoint({private.url, private.folder})
        write(other)
        other.kill()
        write(private)
        assert remembers(private)


@every_kind  # the last test of its kind: it closes the server that the others share
def test_close_leaves_no_process_and_no_folder(private: Server) -> None:
    assert processes_of(private)
    private.close()
    assert not processes_of(private)
    assert not private.folder.exists()
    private.close()


def processes_of(private: Server) -> list[psutil.Process]:
    """Find a server's processes by their working folders, which are in its own."""
    return [process for process in psutil.process_iter() if _works_in(process, private.folder)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


def test_a_killed_postgresql_leaves_no_shared_memory() -> None:
    with server("postgresql") as private:
        (pidfile,) = private.folder.glob("data/postmaster.pid")
        key, segment = pidfile.read_text().splitlines()[6].split()
        private.kill()
        assert segment in segments()
    assert segment not in segments(), key


def segments() -> list[str]:
    """Return the ids of all System V segments of this machine."""
    return [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()]


def test_a_server_that_dies_at_its_start_says_why() -> None:
    with server("redis") as private:
        private.kill()
        (manifest,) = private.folder.glob("data/*/*.manifest")
        manifest.write_text("nonsense")
        with pytest.raises(AssertionError, match=r"(?s)redis-server.*ended with 1.*manifest"):
            private.start()


@pytest.mark.parametrize(("ci", "outcome"), [("false", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_program_skips_a_test_and_fails_it_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KINDS["redis"], "programs", ("no-such-server",))
    monkeypatch.setenv("CI", ci)
    with pytest.raises(BaseException, match="no-such-server isn't installed") as caught, server("redis"):
        pass
    assert caught.type is outcome
