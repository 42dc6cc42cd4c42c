"""Kombu's Redis transport, made for jobs whose row is the truth.

Its connections fail instead of mending themselves. redis-py reconnects inside a read and then reads on. A worker's
loop, told that there is something to read, would so wait for ever on a new connection on which nothing was sent. An
error is what the consumer knows how to deal with.

It keeps no copies of unacknowledged messages in Redis. Kombu's copies cost two round trips a message, more than half
of what a worker's main process did, and bring messages back after an hour, to jobs that ended long ago or still run.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty
from typing import Any

from kombu.transport import virtual
from kombu.transport.redis import Channel, Transport
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from ..jobs.submission import HIGHEST_PRIORITY
from .intake import bell_of

logger = logging.getLogger(__name__)

FIRST_WITH_BLMPOP = 7


class MemoryQoS(virtual.QoS):
    """Remembers in memory which messages this process has taken and not acknowledged.

    A process that closes its channel puts them back, first in their queues. With a process or a connection that dies
    they are gone; their jobs are found by the rescuer (`LOST_MESSAGE_AFTER`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        # Not once more when the interpreter ends: a lost connection's messages are somebody else's by then.
        self._on_collect.cancel()

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Let go of a message; `requeue` puts it back where it was, first in its queue and with its priority."""
        message = self._delivered.get(delivery_tag)
        if requeue and message is not None:
            self._put_back([message])
        self._quick_ack(delivery_tag)

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
    #: How many messages are fetched at once; the worker's consumer raises it where that is good.
    most_at_once = 1
    #: While the pool is occupied, how many must be wanted before some are fetched.
    fetch_from = 1
    is_occupied: Callable[[], bool] = staticmethod(lambda: True)
    _shared_client: Any = None
    # Kombu gives them no types.
    _in_poll: Any
    _brpop_sent_at: Any
    #: Whether the server can hand out several messages at once (BLMPOP, from Redis 7 on); None until it was asked.
    _pops_many: bool | None = None
    _asked_for_many = False

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

    def put_text(self, queue: str, priority: int, message: str) -> None:
        """Put a message, ready as text, into a queue; the priority is Redis': 0 comes first."""
        key = self._q_for_pri(queue, self._get_message_priority({"properties": {"priority": priority}}))  # type: ignore[no-untyped-call]
        with self.conn_or_acquire() as client:
            client.lpush(key, message)

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for as many messages as are wanted, from the first queue and priority that has any.

        Kombu asks for one at a time: a round trip each, and a third of what the worker's main process did.
        """
        wanted: int | None = self.qos.can_consume_max_estimate()
        # The window may have shrunk since `fetch_from` was set.
        enough = min(self.fetch_from, max(1, self.qos.prefetch_count // 2))
        if wanted is not None and wanted < enough and self.is_occupied():
            return
        if self.most_at_once > 1 and self._pops_many is None:
            self._pops_many = self._can_pop_many()
        self._asked_for_many = self.most_at_once > 1 and bool(self._pops_many)
        if not self._asked_for_many:
            super()._brpop_start(timeout)  # type: ignore[no-untyped-call]
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        keys = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in queues]  # type: ignore[no-untyped-call]
        seconds = timeout or self.brpop_timeout or 0
        self._in_poll = self.client.connection
        self._brpop_sent_at = time.monotonic()
        count = min(wanted or 1, self.most_at_once)
        self.client.connection.send_command("BLMPOP", seconds, len(keys), *keys, "RIGHT", "COUNT", count)

    def _can_pop_many(self) -> bool:
        if self.global_keyprefix:
            return False  # kombu puts it before the keys of the commands that it knows
        try:
            with self.conn_or_acquire() as client:
                version = str(client.info("server")["redis_version"])
            return int(version.partition(".")[0]) >= FIRST_WITH_BLMPOP
        except (KeyError, ValueError, ResponseError):
            return False

    def _brpop_read(self, **options: Any) -> bool:
        """Take the messages that have come. Raises Empty when the wait was in vain."""
        if not self._asked_for_many:
            return bool(super()._brpop_read(**options))  # type: ignore[no-untyped-call]
        try:
            try:
                answer = self.client.parse_response(self.client.connection, "BLMPOP", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()  # type: ignore[no-untyped-call]
        if not answer:
            raise Empty
        key, payloads = bytes_to_str(answer[0]), list(answer[1])
        queue = key if key in self.active_queues else key.rsplit(self.sep, 1)[0]
        if queue not in self.active_queues:
            self._return_to(key, payloads)  # it was left while the server was asked
            return True
        self._queue_cycle.rotate(queue)
        while payloads:
            try:
                self.connection._deliver(loads(bytes_to_str(payloads.pop(0))), queue)
            except BaseException:
                self._return_to(key, payloads)
                raise
        return True

    def _return_to(self, key: str, payloads: list[bytes]) -> None:
        """Put back what has been fetched and not delivered; a worker ends, or its loop begins anew."""
        if payloads:
            with suppress(RedisError, OSError), self.conn_or_acquire() as client:
                client.rpush(key, *reversed(payloads))

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
