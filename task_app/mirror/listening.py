"""To which of its queues a worker listens: it leaves paused ones, and gives back what it has taken from them."""

import logging
from collections.abc import Collection, Iterator
from typing import Any

from celery.worker import state

from .intake import intake
from .worker_request import JobRequest

logger = logging.getLogger(__name__)


class Listening:
    """Leaves queues and returns to them, by Celery's own means and in the worker's own loop.

    What runs goes on. What has only been taken goes back to the broker, first in its queue: held here it would fill the
    window, and the worker's other queues would stand still.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._paused: frozenset[str] = frozenset()
        self._left: set[str] = set()  # queues that this worker is for and does not listen to now

    def leave_out(self, paused: Collection[str]) -> int:
        """Listen to the worker's queues without these; return how many must change.

        Called again and again by another thread, and once before the worker connects. It asks anew until the loop has
        done it: a loop that loses its connection forgets what it was asked.
        """
        self._paused = frozenset(paused)
        queues = self._consumer.app.amqp.queues
        for name in self._paused.intersection(queues.consume_from):
            self._left.add(name)
            queues.deselect(name)  # a worker that connects listens to what is selected
        behind = len(self._to_leave()) + len(self._to_join())
        if behind and self._consumer.task_consumer is not None:
            self._consumer.call_soon(self._obey)
        return behind

    def _to_leave(self) -> set[str]:
        consumer = self._consumer.task_consumer
        return set() if consumer is None else {queue.name for queue in consumer.queues} & self._paused

    def _to_join(self) -> set[str]:
        return self._left - self._paused

    def _obey(self) -> None:
        """In the worker's loop: nothing arrives meanwhile, and nothing goes to the pool."""
        consumer = self._consumer
        if consumer.connection is None or consumer.task_consumer is None:
            return
        try:
            if leave := self._to_leave():
                for name in sorted(leave):
                    consumer.cancel_task_queue(name)
                self._give_back(leave)
            for name in sorted(self._to_join()):
                consumer.add_task_queue(name)
                self._left.discard(name)
        except consumer.connection_errors as error:
            logger.warning("paused queues must wait for the broker: %s", error)
        except consumer.channel_errors as error:
            consumer.restart(f"its queues can't be changed: {error}")

    def _give_back(self, queues: Collection[str]) -> None:
        """Give back what waits for a process of the pool; the newest first, for each goes before those that are there.

        The prefork pool has copies of what it was handed: that has begun. The other pools keep the request itself, and
        find on it that it was given back.
        """
        consumer = self._consumer
        has_copies = consumer.pool.uses_semaphore
        taken = [
            request
            for request in self._waiting()
            if request.queue in queues and not (has_copies and request.was_handed_over)
        ]
        for request in reversed(taken):
            request.give_back()
        for queue in queues:
            intake.forget(queue)
        if taken:
            self._take_out_of_line(set(taken))
            logger.info("gave back %d messages of paused queues", len(taken))

    def _waiting(self) -> Iterator[JobRequest]:
        """Yield what has been taken and does not run, in the order in which it came.

        Without requests of a task that brings a class of its own: they can't be given back.
        """
        taken = [request for request in list(state.requests.values()) if request not in state.active_requests]
        for bucket in self._buckets():
            taken += [request for request, _ in list(bucket.contents)]
        yield from (request for request in taken if isinstance(request, JobRequest))

    def _buckets(self) -> list[Any]:
        """Return where messages of tasks with a rate limit wait."""
        return [bucket for bucket in self._consumer.task_buckets.values() if bucket is not None]

    def _take_out_of_line(self, given_back: set[JobRequest]) -> None:
        """Forget them where they wait for their turn: in the buckets of rate limits, and for a process of the pool.

        Left in line, each would take a process's time, and stand in the way of its own message when that comes again.
        """
        for bucket in self._buckets():
            _keep(bucket.contents, [entry for entry in bucket.contents if entry[0] not in given_back])
        semaphore = self._consumer.controller.semaphore
        if semaphore is not None:
            line = semaphore._waiting  # kombu has no word for leaving it
            _keep(line, [entry for entry in line if not given_back.intersection(entry[1])])


def _keep(line: Any, entries: list[Any]) -> None:
    """Exchange the content of a deque; others hold on to the deque itself."""
    line.clear()
    line.extend(entries)
