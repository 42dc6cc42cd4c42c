"""Notices that this worker hears nothing although its broker connection stands, or that its loop stands still."""

import faulthandler
import logging
import os
import sys
import time
from datetime import timedelta
from typing import Any

from celery.bootsteps import RUN
from celery.worker import state
from flask import Flask

from ..jobs import queries, workers
from ..jobs.runtime import runtime, utcnow
from ..mirror.intake import intake

logger = logging.getLogger(__name__)

#: The exit code of a worker whose loop stands still: an error inside it (sysexits.h).
EX_SOFTWARE = 70
#: Seconds that dropping a connection to nowhere may take.
RESTART_TAKES = 10.0


class Watchdog:
    """A worker is deaf when it has room and takes nothing for `DEAF_AFTER` seconds, while jobs wait in its queues.

    That is the one health check that counts: a worker that answers pings may be deaf all the same. The table says
    whether jobs wait, not the broker: RabbitMQ may have sent the message already, into the dead connection. A worker
    that connects anew without need loses nothing.

    A worker whose loop has not gone round for `STUCK_AFTER` seconds, while it is connected and the database answers,
    can't be helped: it says where it stands and ends. Whoever watches over it starts another, and what it held is
    rescued.
    """

    name = "watchdog"

    def __init__(self, app: Flask, worker: Any) -> None:
        patience: float = app.config["DEAF_AFTER"]
        self.pause = min(2.0, patience / 4)
        # Half of the time a job waits unheard, for the other half the worker is seen to take nothing. Heartbeats tell
        # late what other workers have taken.
        self._old = timedelta(seconds=max(patience / 2, 2 * app.config["HEARTBEAT_INTERVAL"]))
        self._watch = patience / 2
        self._timeout = timedelta(seconds=app.config["WORKER_TIMEOUT"])
        self._worker = worker
        self._capacity = 1 if type(worker.pool).__module__.endswith(".solo") else worker.concurrency
        self._deaf_since: float | None = None
        self._heard = 0
        self._rest_until = 0.0
        self._stuck_after: float = app.config["STUCK_AFTER"]
        self._stuck_since: float | None = None

    def run(self) -> int:
        """Look once; restart the consumer when it has been deaf for too long, end the worker when it is stuck."""
        self._end_if_stuck()
        now, heard = time.monotonic(), intake.count
        quiet = heard == self._heard and now >= self._rest_until and self._has_room()
        self._heard = heard
        if not quiet or not self._jobs_wait():
            self._deaf_since = None
            return 0
        self._deaf_since = self._deaf_since or now
        if now - self._deaf_since < self._watch:
            return 0
        self._deaf_since, self._rest_until = None, now + RESTART_TAKES
        self._worker.consumer.restart("it takes nothing while jobs wait in its queues")
        return 1

    def _end_if_stuck(self) -> None:
        """Count from the first look that found it standing: a machine that was suspended has not looked either."""
        now, ticked_at = time.monotonic(), intake.ticked_at
        consumer = self._worker.consumer
        works = consumer is not None and consumer.connection is not None and consumer.blueprint.state == RUN
        if ticked_at is None or not works or now - ticked_at < self._stuck_after / 2:
            self._stuck_since = None
            return
        with runtime().engine.connect() as connection:
            queries.database_time(connection)  # while the database is away, the loop may wait for it
        self._stuck_since = self._stuck_since or now
        if now - self._stuck_since >= self._stuck_after / 2:
            logger.critical("the worker's loop stands still since %.0f s; the worker ends", now - ticked_at)
            faulthandler.dump_traceback(sys.__stderr__ or 2)
            os._exit(EX_SOFTWARE)

    def _has_room(self) -> bool:
        """Say whether the worker would take a message if it heard of one."""
        consumer = self._worker.consumer
        connected = consumer is not None and consumer.connection is not None
        active = set(state.active_requests)  # the reserved ones are these, and those that wait for a process
        return connected and set(state.reserved_requests) <= active and len(active) < self._capacity

    def _jobs_wait(self) -> bool:
        consumer = self._worker.consumer.task_consumer
        if consumer is None:
            return False
        moment = utcnow() - self._old
        with runtime().engine.connect() as connection:
            held = workers.held_by_the_living(connection, self._timeout)
            return any(
                job.id not in held
                for queue in list(consumer.queues)
                for job in queries.published_before(connection, moment, queue.name, limit=len(held) + 1)
                if not job.elsewhere
            )
