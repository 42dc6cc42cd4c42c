"""The network between a client and a server, for tests that break it."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from . import ports

T = TypeVar("T")

CHUNK = 65536
PROMPTLY = 10.0  # seconds that the proxy's own thread may take for anything asked of it
#: Closing such a socket drops what is unsent and sends RST: on, and no time to linger.
ABRUPTLY = struct.pack("ii", 1, 0)


class _Connection:
    """A client's connection and, once it is there, the one made for it to the server."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writers = [writer]
        self._pumps: list[asyncio.Task[None]] = []

    async def carry(self, reader: asyncio.StreamReader, target: tuple[str, int]) -> None:
        """Pass on what comes from either end until both have said all, or one has gone."""
        (client,) = self._writers
        server_reader, server = await asyncio.open_connection(*target, limit=CHUNK)
        self._writers.append(server)
        self._pumps = [asyncio.create_task(_pump(*ends)) for ends in ((reader, server), (server_reader, client))]
        await asyncio.gather(*self._pumps)
        for writer in self._writers:
            writer.close()

    def freeze(self) -> None:
        """Pass on nothing any more, not even that an end has closed."""
        for pump in self._pumps:
            pump.cancel()

    def cut(self) -> None:
        """Close both ends with RST."""
        self.freeze()
        for writer in self._writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
            writer.transport.abort()


class Proxy:
    """A TCP proxy in a thread of the test process. Clients connect to `port`; faults come and go by its methods.

    All sockets belong to the event loop in that thread: a fault is in effect when its method returns.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{self.port}", daemon=True)
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._deaf = False

    def start(self) -> None:
        """Let clients connect."""
        self._thread.start()
        self._do(self._listen())

    def close(self) -> None:
        """Cut all connections and end the thread; idempotent."""
        if self._thread.is_alive():
            self._do(self._shut())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PROMPTLY)
        self._loop.close()
        self._reserved.close()

    def freeze(self) -> None:
        """Let the connections there are carry nothing any more, in either direction, and leave them open.

        This is what a network partition leaves behind: both ends believe in the connection, and nothing arrives.
        It's for good; new connections work.
        """
        self._do(self._freeze())

    def cut(self) -> None:
        """Close the connections there are abruptly, at both ends; new ones work."""
        self._do(self._cut())

    def refuse(self, refused: bool = True) -> None:
        """Refuse new connections, or accept them again; those there are go on."""
        self._do(self._deny() if refused else self._listen())

    def blackhole(self, swallowed: bool = True) -> None:
        """Accept new connections and never answer them, or serve new ones again; those swallowed stay deaf."""
        self._do(self._swallow(swallowed))

    def _do(self, action: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(PROMPTLY)

    # -- in the proxy's thread -------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, ports.HOST, self.port, limit=CHUNK)

    async def _deny(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _swallow(self, swallowed: bool) -> None:
        self._deaf = swallowed

    async def _freeze(self) -> None:
        for connection in self._connections:
            connection.freeze()

    async def _cut(self) -> None:
        for connection in self._connections:
            connection.cut()
        self._connections.clear()

    async def _shut(self) -> None:
        await self._deny()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client. A frozen or swallowed connection stays in the set, which keeps it open."""
        connection = _Connection(writer)
        self._connections.add(connection)
        if self._deaf:
            return
        try:
            await connection.carry(reader, self._target)
        except asyncio.CancelledError:
            return
        except OSError:  # one end has gone, or the server can't be reached: the other end shall notice
            connection.cut()
        self._connections.discard(connection)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on bytes, and the end of them."""
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
