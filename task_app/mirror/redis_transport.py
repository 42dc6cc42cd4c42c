"""Kombu's Redis transport, with connections that fail instead of mending themselves.

redis-py reconnects inside a read and then reads on. A worker's loop, told that there is something to read, would so
wait for ever on a new connection on which nothing was sent. An error is what the consumer knows how to deal with.
"""

from typing import Any

from kombu.transport.redis import Channel, Transport
from redis.backoff import NoBackoff
from redis.retry import Retry


class FailingChannel(Channel):
    """A channel whose connections don't try again by themselves."""

    def _connparams(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        params: dict[str, Any] = super()._connparams(*args, **kwargs)  # type: ignore[no-untyped-call]
        return params | {"retry": Retry(NoBackoff(), 0)}

    def _receive_one(self, client: Any) -> Any:
        """Read what there is. Where there is nothing, redis-py would wait for it for ever, and the loop with it."""
        try:
            if client.connection is not None and not client.connection.can_read(timeout=0):
                return None
        except self.connection_errors:
            self._in_listen = False  # listen anew after the connection is made again
            raise
        return super()._receive_one(client)  # type: ignore[no-untyped-call]


class FailingTransport(Transport):
    """Takes the place of kombu's for `redis://`, `rediss://` and `redis+socket://`."""

    Channel = FailingChannel
