"""The proxy: each fault does what its name says, to the connections it is meant for and to no others."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from . import ports
from .proxy import Proxy

SOON = 5.0  # seconds; only a failing test waits this long
NEVER = 0.2  # seconds of silence that are taken for deafness


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            return


def _accept(listener: socket.socket, accepted: list[socket.socket]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        accepted.append(connection)
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


@pytest.fixture
def accepted() -> list[socket.socket]:
    """The server's ends of connections."""
    return []


@pytest.fixture
def proxy(accepted: list[socket.socket]) -> Iterator[Proxy]:
    """A proxy before a server that echoes."""
    with socket.create_server((ports.HOST, 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener, accepted))
        thread.start()
        proxy = Proxy(*listener.getsockname())
        proxy.start()
        yield proxy
        proxy.close()
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        thread.join(SOON)
        for connection in accepted:
            connection.close()


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    """A connection that has carried something."""
    with connect(proxy) as connection:
        assert echoed(connection)
        yield connection


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((ports.HOST, proxy.port), timeout=SOON)


def echoed(connection: socket.socket, data: bytes = b"ping") -> bool:
    connection.sendall(data)
    received = b""
    while len(received) < len(data) and (more := connection.recv(65536)):
        received += more
    return received == data


def is_deaf(connection: socket.socket) -> bool:
    """Say whether the other side is silent, though the connection is open."""
    connection.settimeout(NEVER)
    connection.sendall(b"anybody?")
    with suppress(TimeoutError):
        connection.recv(1)
        return False
    return True


def test_it_carries_more_than_any_buffer_holds(client: socket.socket) -> None:
    data = bytes(range(256)) * 40_000
    sender = threading.Thread(target=client.sendall, args=(data,))
    sender.start()
    received = bytearray()
    while len(received) < len(data):
        received += client.recv(65536)
    sender.join(SOON)
    assert received == data


def test_the_end_of_what_is_said_is_passed_on(client: socket.socket) -> None:
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    received = b""
    while data := client.recv(65536):
        received += data
    assert received == b"last words"


def test_a_client_that_vanishes_takes_its_connection_with_it(
    client: socket.socket, accepted: list[socket.socket]
) -> None:
    (server,) = accepted
    assert server.fileno() >= 0
    client.close()
    for thread in threading.enumerate():
        if thread.name.endswith("(_echo)"):
            thread.join(SOON)
    assert server.fileno() == -1


def test_a_server_that_is_down_is_noticed() -> None:
    with ports.reserve() as nobody:
        proxy = Proxy(ports.HOST, ports.number(nobody))
        proxy.start()
        with pytest.raises(ConnectionResetError), connect(proxy) as client:  # the reset may come while it connects
            client.recv(1)
        proxy.close()


def test_freeze_deafens_the_connections_there_are_and_only_those(
    proxy: Proxy, client: socket.socket, accepted: list[socket.socket]
) -> None:
    proxy.freeze()
    assert is_deaf(client)
    (server,) = accepted
    server.sendall(b"hello?")
    assert is_deaf(client)
    with connect(proxy) as other:
        assert echoed(other)


def test_a_frozen_connection_does_not_tell_the_server_of_its_end(
    proxy: Proxy, client: socket.socket, accepted: list[socket.socket]
) -> None:
    proxy.freeze()
    client.close()
    with connect(proxy) as other:  # by now the proxy has seen the end
        assert echoed(other)
    assert accepted[0].fileno() >= 0
    accepted[0].sendall(b"still there?")


def test_cut_resets_both_ends(proxy: Proxy, client: socket.socket) -> None:
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with connect(proxy) as other:
        assert echoed(other)


def test_cut_ends_a_frozen_connection(proxy: Proxy, client: socket.socket) -> None:
    proxy.freeze()
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_refuse_turns_away_new_connections_and_no_others(proxy: Proxy, client: socket.socket) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    assert echoed(client)
    proxy.refuse(False)
    with connect(proxy) as other:
        assert echoed(other)


def test_blackhole_swallows_new_connections_and_no_others(proxy: Proxy, client: socket.socket) -> None:
    proxy.blackhole()
    with connect(proxy) as swallowed:
        assert is_deaf(swallowed)
        assert echoed(client)
        proxy.blackhole(False)
        assert is_deaf(swallowed)
    with connect(proxy) as other:
        assert echoed(other)


def test_close_resets_what_is_open_and_may_be_repeated(proxy: Proxy, client: socket.socket) -> None:
    proxy.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.close()


def test_close_without_start() -> None:
    Proxy(ports.HOST, 1).close()
