"""Ports that stay ours while the server on them is down."""

import socket

HOST = "127.0.0.1"


def reserve() -> socket.socket:
    """Return a socket that keeps a free port for one server until it is closed.

    It is bound and never listens: connecting to it is refused, and nobody else is given its port. A server may listen
    there all the same, because it sets SO_REUSEADDR and so does this socket (Linux allows that; the BSDs don't). So
    there's no moment, not even between kill and start, in which another process could take the port.
    """
    reserved = socket.socket()
    reserved.bind((HOST, 0))
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return reserved


def number(reserved: socket.socket) -> int:
    """Return the number of a reserved port."""
    port: int = reserved.getsockname()[1]
    return port
