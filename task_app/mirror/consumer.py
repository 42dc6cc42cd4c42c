"""The worker's consumer: Celery's, but bad messages end their job, and a lost broker is soon found again."""

import logging
from collections.abc import Callable
from typing import Any

from celery.app.amqp import AMQP
from celery.concurrency.solo import TaskPool as SoloPool
from celery.exceptions import NotRegistered
from celery.worker import state
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.transport.base import Transport
from kombu.transport.redis import Transport as RedisTransport

from . import junk
from .intake import intake
from .listening import Listening
from .redis_transport import FailingChannel, FailingTransport

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 100


class PersistentConnection(Connection):
    """Looks for a broker that is away every 2 seconds at the latest; kombu's own pause grows to 30."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Connection:
        """Connect, trying again and again as the caller's `max_retries` allows."""
        soon = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 2}
        super().ensure_connection(*args, **{**soon, **kwargs})  # type: ignore[no-untyped-call]
        return self

    def get_transport_cls(self) -> type[Transport]:
        """Choose the transport of the URL; for Redis, the one whose connections fail."""
        found: type[Transport] = super().get_transport_cls()  # type: ignore[no-untyped-call]
        return FailingTransport if found is RedisTransport else found


class JobAMQP(AMQP):
    """Celery's way to the broker, with our connections."""

    Connection = PersistentConnection
    BrokerConnection = PersistentConnection


class JobConsumer(Consumer):
    """Named by the setting `worker_consumer`.

    Without Celery's gossip and mingle, and without its heartbeats unless events are wanted (`-E`): the table knows who
    lives, and each of them is another connection that the worker's loop may hang on.
    """

    def __init__(self, *args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        options = {**(worker_options or {}), "without_gossip": True, "without_mingle": True}
        self._lost_because: str | None = None
        options["without_heartbeat"] = options.get("without_heartbeat") or not kwargs.get("task_events")
        super().__init__(*args, worker_options=options, **kwargs)
        self.listening = Listening(self)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """The body can't be read: its content type is not accepted, or it is nonsense."""
        super().on_decode_error(message, exc)
        junk.fail(self.app, message.headers or {}, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """The message is one of Celery's, but can't be run."""
        super().on_invalid_task(body, message, exc)
        junk.fail(self.app, message.headers or {}, exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """The message is nobody's."""
        super().on_unknown_message(body, message)
        junk.fail(self.app, message.headers or {}, ValueError("not a task message"))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """This worker knows no task of that name. A foreign producer's gets a row that says so, as Celery does it."""
        headers = message.headers or {}
        if "job_attempt" in headers:
            message.reject_log_error(logger, self.connection_errors)
            junk.fail(self.app, headers, NotRegistered(headers.get("task")))
        else:
            super().on_unknown_task(body, message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Build what receives messages: Celery's, which some messages would make end the worker."""
        receive = super().create_task_handler(*args, **kwargs)
        dealt_with = (*self.connection_errors, *self.channel_errors)

        def on_task_received(message: Any) -> Any:
            try:
                return receive(message)
            except dealt_with:
                raise
            except Exception as error:
                # Anybody may send anything; the worker must outlive it.
                logger.exception("a message made no sense: %.500r", message.headers)
                if not message.acknowledged:
                    message.ack_log_error(logger, self.connection_errors)
                junk.fail(self.app, message.headers or {}, error)

        return on_task_received

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The connection is lost. What can't be closed is left: the worker must outlive it.

        With a Redis connection that waits for a message, kombu stumbles over its own half-closed channel.
        """
        try:
            super().on_connection_error_after_connected(exc)
        except Exception:
            logger.warning("the lost broker connection could not be closed", exc_info=True)
            self.connection = None

    def register_with_event_loop(self, hub: Any) -> None:
        """Wake the loop every second: it sleeps for up to ten, and what other threads ask for waits."""
        super().register_with_event_loop(hub)
        self._fetch_several(self.task_consumer.channel)
        intake.tick()
        hub.timer.call_repeatedly(1.0, intake.tick)

    def _fetch_several(self, channel: Any) -> None:
        """Let messages come several at once, when half of the window is free or a process of the pool is idle.

        Not for the solo pool, which runs each message as it comes and would keep the others from everybody; nor where
        nothing shall be fetched in advance.
        """
        if (
            isinstance(channel, FailingChannel)
            and not isinstance(self.pool, SoloPool)
            and not self.app.conf.worker_disable_prefetch
        ):
            channel.most_at_once = MOST_AT_ONCE
            channel.fetch_from = max(1, self.initial_prefetch_count // 2)
            channel.is_occupied = lambda: len(state.reserved_requests) >= self.pool.num_processes

    def restart(self, reason: str) -> None:
        """Drop the connection and connect anew, from the worker's own loop. Called by other threads."""
        logger.warning("the consumer is restarted: %s", reason)
        self._lost_because = reason
        if self.hub:
            self.hub.call_soon(self._lose_connection)

    def perform_pending_operations(self) -> None:
        """Do what other threads have asked for, where there is no event loop (threads, solo)."""
        super().perform_pending_operations()
        self._lose_connection()

    def _lose_connection(self) -> None:
        reason, self._lost_because = self._lost_because, None
        if reason is not None:
            raise ConnectionResetError(reason)
