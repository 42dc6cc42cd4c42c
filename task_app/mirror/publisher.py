"""A row becomes a message. The only place that talks to the broker to send jobs."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from amqp.exceptions import AMQPError
from amqp.exceptions import ChannelError as RefusedByBroker
from celery import Celery
from celery.app.routes import MapRoute
from celery.exceptions import QueueNotFound
from flask import Flask
from kombu import Connection, Producer, Queue
from kombu.connection import ConnectionPool
from kombu.exceptions import BatchPublishError, DecodeError, EncodeError, LimitExceeded, OperationalError
from kombu.pools import connections

from .. import embedded
from ..errors import BrokerUnavailable, ConfigurationError, MessageRefused, Unpublishable, ValueUnreadable
from ..jobs.packing import load
from ..jobs.submission import HIGHEST_PRIORITY, Outgoing, Submission
from . import codec, in_row
from .breaker import Breaker
from .plain import REPR_LIMIT, PlainMessages
from .redis_transport import FailingChannel

BATCH = 500  # messages in one pipeline

#: What says that the broker, or a connection to it, can't be had now.
UNREACHABLE = (OperationalError, BatchPublishError, LimitExceeded, OSError, AMQPError)


class _Batch(threading.local):
    """The producer that collects what this thread publishes."""

    producer: Producer | None = None


class CeleryPublisher:
    """Sends messages through Celery's own message format, queues and signals (implements `jobs.runtime.Publisher`).

    It has its own connections, because a submit must fail within `BROKER_TIMEOUT` while a worker's consumer may wait.
    """

    def __init__(self, celery: Celery, flask_app: Flask) -> None:
        self._celery = celery
        self._flask_app = flask_app
        self._default_priority: int = flask_app.config["JOB_DEFAULT_PRIORITY"]
        self._timeout: float = flask_app.config["BROKER_TIMEOUT"]
        self._pool: ConnectionPool | None = None
        self._pool_pid = 0
        self._lock = threading.Lock()
        self._batch = _Batch()
        self._breaker = Breaker()
        self._arguments_limit: int = flask_app.config["MESSAGE_ARGUMENTS_LIMIT"]
        self._plain = PlainMessages(celery, self._send, self._arguments_limit)
        #: (task, queue and priority asked for) → queue and priority, as far as nothing else decides.
        self._routes: dict[tuple[str, str | None, int | None], tuple[str, int]] = {}

    # -- routing -------------------------------------------------------------------------------------------------

    def route(self, submission: Submission) -> Submission:
        """Fill in what the task's own options and `task_routes` decide and the caller left open."""
        if submission.queue is not None and submission.priority is not None:
            return submission
        asked = (submission.task, submission.queue, submission.priority)
        known = self._routes.get(asked)
        if known is not None:
            return replace(submission, queue=known[0], priority=known[1])
        task = self._celery.tasks.get(submission.task)
        chosen = {"queue": submission.queue, "priority": submission.priority}
        options = _given(self._options_of(task)) | _given(chosen)
        args, kwargs = codec.loads(submission.args), codec.loads(submission.kwargs)
        routed = self._celery.amqp.router.route(options, submission.task, args, kwargs, task)
        queue: Queue | str | None = routed.get("queue")
        name = queue.name if isinstance(queue, Queue) else queue
        message = submission.message
        if name is None or routed.get("exchange"):
            message = {
                **message,
                "exchange": _name_of(routed.get("exchange")),
                "routing_key": routed.get("routing_key"),
            }
        priority = max(0, min(HIGHEST_PRIORITY, int(routed.get("priority", self._default_priority))))
        queue_name: str = name or routed.get("routing_key") or self._celery.conf.task_default_queue
        if message is submission.message and all(isinstance(route, MapRoute) for route in self._celery.amqp.routes):
            self._routes[asked] = (queue_name, priority)  # no function that looks at the arguments
        return replace(submission, queue=queue_name, priority=priority, message=message)

    @staticmethod
    def _options_of(task: Any) -> dict[str, Any]:
        return dict(task._get_exec_options()) if task is not None else {}

    # -- publishing ----------------------------------------------------------------------------------------------

    def refusal(self) -> str | None:
        """Return why the broker is not to be tried now: it could not be reached a moment ago. Costs nothing."""
        return self._breaker.refusal()

    def is_doubtful(self) -> bool:
        """Say whether the broker could not be reached when it was last tried."""
        return self._breaker.is_open()

    def publish(self, job: Outgoing) -> None:
        """Send the message of a job.

        Raises BrokerUnavailable within the broker timeout (at once, if it was away a moment ago), MessageRefused when
        the broker answers but does not take this message, and Unpublishable when no message can be made of the job.
        """
        if self._batch.producer is not None:
            with self._reported():
                self._send(job, self._batch.producer)  # into the pipeline; nothing is known yet
            return
        if refusal := self._breaker.enter():
            raise BrokerUnavailable(refusal)
        with self._reported():
            self._send_twice(job)
        self._breaker.succeeded()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send what this thread publishes within in one go at the end, where the transport can (Redis).

        Raises BrokerUnavailable: then none of it counts as sent.
        """
        if not self._has_pipelines():
            yield
            return
        if refusal := self._breaker.enter():
            raise BrokerUnavailable(refusal)
        with self._reported(), self._lent_connection() as connection:
            self._connect(connection)
            producer = self._batch.producer = Producer(connection)
            try:
                with producer.batch(max_size=BATCH):
                    yield
            finally:
                self._batch.producer = None
        self._breaker.succeeded()

    def _connect(self, connection: Connection) -> None:
        try:
            _ = connection.default_channel
        except UNREACHABLE as error:
            if not self._flask_app.config["EMBEDDED_BROKER"]:
                raise
            self._restart_embedded(error)
            _ = connection.default_channel

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn what kombu and its drivers raise into our errors, and tell the breaker."""
        try:
            yield
        except (DecodeError, EncodeError, QueueNotFound, ValueUnreadable) as error:
            raise Unpublishable(_one_line(error)) from error
        except LimitExceeded as error:  # our own pool is busy; that says nothing of the broker
            raise BrokerUnavailable(_one_line(error)) from error
        except UNREACHABLE as error:
            if isinstance(error, RefusedByBroker) or isinstance(error.__cause__, RefusedByBroker):
                self._breaker.succeeded()
                raise MessageRefused(_one_line(error)) from error
            reason = _one_line(error.__cause__ or error if isinstance(error, BatchPublishError) else error)
            self._breaker.failed(reason)
            raise BrokerUnavailable(reason) from error

    def _send_twice(self, job: Outgoing) -> None:
        """Send; once more, at once, when that failed at once: a pooled connection may be a dead one.

        What took its time is not tried again. Longer outages are the dispatcher's.
        """
        begin = time.monotonic()
        try:
            self._send_alone(job)
        except UNREACHABLE as error:
            if isinstance(error, RefusedByBroker) or time.monotonic() - begin > self._timeout / 2:
                raise
            if self._flask_app.config["EMBEDDED_BROKER"]:
                self._restart_embedded(error)
            self._send_alone(job)

    def _restart_embedded(self, error: Exception) -> None:
        """The embedded broker belongs to whoever needs it first, also after it was killed."""
        try:
            embedded.ensure_running(self._flask_app.instance_path)
        except (ConfigurationError, OSError) as failure:
            raise OperationalError(_one_line(failure)) from error

    @contextmanager
    def _lent_connection(self) -> Iterator[Connection]:
        """Lend a connection; after an error it is not used again."""
        with (
            self._connections().acquire(block=True, timeout=self._timeout) as connection,
            connection._reraise_as_library_errors(),
        ):
            try:
                yield connection
            except Exception:
                connection.collect()  # whatever it was: the next message gets a new connection
                raise

    def _send_alone(self, job: Outgoing) -> None:
        """Send; the short way where there is one."""
        with self._lent_connection() as connection:
            channel = connection.default_channel
            if isinstance(channel, FailingChannel) and not channel._expires:
                text = self._plain.of(job)
                if text is not None:
                    channel.put_text(job.queue, self._on_the_wire(job.priority), text)
                    return
            self._send(job, Producer(connection))

    def _send(self, job: Outgoing, producer: Producer) -> None:
        celery, extra = self._celery, load(job.message) if job.message else {}
        stamped = extra.get("stamped_headers") or []
        headers = extra.get("headers", {})
        left = in_row.are_too_large(job, self._arguments_limit)
        carried = {} if left else extra
        message = celery.amqp.create_task_message(
            job.id,
            job.task,
            [] if left else codec.loads(job.args),
            {} if left else codec.loads(job.kwargs),
            # For logs and monitors. Celery would take time to write the same in Python's words.
            argsrepr=job.args[:REPR_LIMIT],
            kwargsrepr=job.kwargs[:REPR_LIMIT],
            group_id=job.group_id,
            group_index=extra.get("group_index"),
            expires=job.expires_at,
            retries=job.retries,
            chord=carried.get("chord"),
            callbacks=carried.get("link"),
            errbacks=carried.get("link_error"),
            reply_to=extra.get("reply_to"),
            time_limit=extra.get("time_limit"),
            soft_time_limit=extra.get("soft_time_limit"),
            create_sent_event=celery.conf.task_send_sent_event,
            root_id=job.root_id,
            parent_id=job.parent_id,
            shadow=extra.get("shadow"),
            chain=carried.get("chain"),
            ignore_result=extra.get("ignore_result", False),
            replaced_task_nesting=extra.get("replaced_task_nesting", 0),
            stamped_headers=stamped or None,
            **{stamp: headers.get(stamp) for stamp in stamped},
        )
        celery.amqp.send_task_message(
            producer,
            job.task,
            message,
            headers={
                **headers,
                "job_attempt": job.attempt,
                "job_max_retries": extra.get("max_retries"),
                "job_bell": [job.queue, job.priority, time.time()],
                **({in_row.HEADER: True} if left else {}),
            },
            priority=self._on_the_wire(job.priority),
            retry=False,
            confirm_timeout=self._timeout,
            **self._destination(job, extra),
            **({"compression": extra["compression"]} if extra.get("compression") else {}),
        )

    def depth(self, queue: str) -> int:
        """Return how many messages wait in a queue of the broker. Raises BrokerUnavailable."""
        if refusal := self._breaker.refusal():
            raise BrokerUnavailable(refusal)
        try:
            with self._connections().acquire(block=True, timeout=self._timeout) as connection:
                try:
                    return self._count(connection, queue)
                except UNREACHABLE:
                    connection.collect()
                    raise
        except UNREACHABLE as error:
            raise BrokerUnavailable(_one_line(error)) from error

    @staticmethod
    def _count(connection: Connection, queue: str) -> int:
        with connection._reraise_as_library_errors():
            _ = connection.default_channel  # connects where there is no connection; `channel()` would not
            with connection.channel() as channel:
                try:
                    found: int = channel.queue_declare(queue, passive=True).message_count
                except connection.channel_errors:
                    return 0  # Redis drops an empty queue; RabbitMQ has not made it yet
                return found

    @staticmethod
    def _destination(job: Outgoing, extra: dict[str, Any]) -> dict[str, Any]:
        if extra.get("exchange"):
            return {"exchange": extra["exchange"], "routing_key": extra.get("routing_key")}
        return {"queue": job.queue}

    def _on_the_wire(self, priority: int) -> int:
        """Turn the number over for Redis, where 0 comes first; for us and for RabbitMQ 9 does."""
        return HIGHEST_PRIORITY - priority if self._counts_down() else priority

    def _has_pipelines(self) -> bool:
        transport = self._connections().connection.transport
        return bool(transport.implements.batch_publish and transport.supports_batch_publish)

    def _counts_down(self) -> bool:
        driver: str = self._connections().connection.transport.driver_type
        return driver == "redis"

    def _connections(self) -> ConnectionPool:
        """Return this process's pool; connections made before a fork are the parent's."""
        if self._pool is None or self._pool_pid != os.getpid():
            with self._lock:
                self._pool, self._pool_pid = connections[self._connection()], os.getpid()
        return self._pool

    def _connection(self) -> Connection:
        options = dict(self._celery.conf.broker_transport_options)
        # Redis and RabbitMQ have different words for it.
        options |= {"socket_timeout": self._timeout, "socket_connect_timeout": self._timeout}
        options |= {"read_timeout": self._timeout, "write_timeout": self._timeout}
        # RabbitMQ says that it has the message: a frozen one would be taken for a fast one. Half a millisecond each.
        options["confirm_publish"] = True
        # Kombu would connect again and again.
        options |= {"max_retries": 0, "interval_start": 0, "interval_step": 0, "interval_max": 0}
        connection: Connection = self._celery.connection_for_write(
            connect_timeout=self._timeout, transport_options=options
        )
        connection.transport_cls = connection.get_transport_cls()  # the pool's connections are of another class
        return connection


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _name_of(exchange: Any) -> str | None:
    name: str | None = getattr(exchange, "name", exchange)
    return name


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
