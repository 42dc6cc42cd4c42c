"""Kombu's Redis transport, made for jobs whose row is the truth.

Its connections fail instead of mending themselves. redis-py reconnects inside a read and then reads on. A worker's
loop, told that there is something to read, would so wait for ever on a new connection on which nothing was sent. An
error is what the consumer knows how to deal with.

It keeps no copies of unacknowledged messages in Redis. Kombu's copies cost two round trips a message, more than half
of what a worker's main process did, and bring messages back after an hour, to jobs that ended long ago or still run.
"""

import logging
from collections.abc import Sequence
from typing import Any

from kombu.transport import virtual
from kombu.transport.redis import Channel, Transport
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from .intake import bell_of
from .publisher import HIGHEST_PRIORITY

logger = logging.getLogger(__name__)


class MemoryQoS(virtual.QoS):
    """Remembers in memory which messages this process has taken and not acknowledged.

    A process that closes its channel puts them back, first in their queues. With a process or a connection that dies
    they are gone; their jobs are found by the rescuer (`LOST_MESSAGE_AFTER`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        # Not once more when the interpreter ends: a lost connection's messages are somebody else's by then.
        self._on_collect.cancel()

    def restore_unacked(self) -> list[Any]:
        """Put back what was not acknowledged, in one round trip."""
        self._flush()  # type: ignore[no-untyped-call]
        messages = list(self._delivered.values())
        self._delivered.clear()
        try:
            self._put_back(messages)
        except (RedisError, OSError) as error:
            logger.warning("%d messages could not be put back, their jobs will be found: %s", len(messages), error)
        return []

    def _put_back(self, messages: Sequence[Any]) -> None:
        with self.channel.conn_or_acquire() as client, client.pipeline() as pipe:
            for message in reversed(messages):  # each goes before those that are there
                payload, came_by = message._raw, message.delivery_info
                if bell := bell_of(message.headers or {}):
                    payload["properties"]["priority"] = HIGHEST_PRIORITY - bell.priority  # as on the wire
                self.channel._do_restore_message(payload, came_by["exchange"], came_by["routing_key"], pipe)
            pipe.execute()


class FailingChannel(Channel):
    """A channel whose connections don't try again by themselves, and whose messages are taken for good."""

    ack_emulation = False
    #: Kombu says no where redis-py might send a pipeline again; ours never does.
    supports_batch_publish = True
    _shared_client: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.QoS = MemoryQoS  # type: ignore[assignment]

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return a client; the same one for all commands, where kombu makes one for each message."""
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        if self._shared_client is None or self._shared_client.connection_pool is not self.pool:
            self._shared_client = super()._create_client()  # type: ignore[no-untyped-call]
        return self._shared_client

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
    supports_batch_publish = True
