"""Connections to addresses that were looked at, and that end in time.

The check sits here, below HTTP and TLS, on the very address that is connected to: a name that is answered differently
the second time gains nothing, and every redirect passes through here as well. Certificates are still checked against
the name.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpcore

from ..errors import AddressRefused, BadResponse
from .places import is_allowed, is_open_port

#: From a name and a port to addresses. It is asked once per connection.
Resolver = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name. How long that takes is up to its resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedNetwork(httpcore.NetworkBackend):
    """What httpcore connects with. It serves one thread, and one request after the other."""

    def __init__(
        self, *, private: bool, resolver: Resolver = resolve, inner: httpcore.NetworkBackend | None = None
    ) -> None:
        self._private = private
        self._resolve = resolver
        self._inner = inner or httpcore.SyncBackend()
        #: When the request that is on its way must have ended, by the monotonic clock.
        self.deadline = float("inf")

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers, if the service may go to all of them."""
        if not is_open_port(port):
            raise AddressRefused(f"{host}:{port} is a port where this service doesn't go")
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} has no address: {error}") from error
        for address in addresses:
            if not is_allowed(address, private=self._private):
                raise AddressRefused(f"{host} leads to {address}, where this service doesn't go")
        problem: Exception = httpcore.ConnectError(f"the name {host} has no address")
        for number, address in enumerate(addresses):
            share = None if timeout is None else timeout / (len(addresses) - number)  # what is left, for each
            began = time.monotonic()
            try:
                stream = self._inner.connect_tcp(
                    address, port, self.within(share, httpcore.ConnectTimeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
                timeout = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
            else:
                return _TimedStream(stream, self)
        raise problem

    def within(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
        """Shorten a timeout to the time that the request has left. Raises `error` when it has none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("it took too long altogether")
        if timeout is None:
            return None if left == float("inf") else left
        return min(timeout, left)


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline: a server that sends a byte now and then holds nobody up."""

    def __init__(self, inner: httpcore.NetworkStream, network: GuardedNetwork) -> None:
        self._inner = inner
        self._network = network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._network.within(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._network.within(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._network.within(timeout, httpcore.ConnectTimeout)
        try:
            inner = self._inner.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise BadResponse(f"{server_hostname}: {error.__cause__.verify_message}") from error
            raise
        return _TimedStream(inner, self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
