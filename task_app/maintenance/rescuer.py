"""Finds jobs whose worker or whose message is gone, and puts them back to waiting."""

import time
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from ..errors import BrokerUnavailable
from ..jobs import queries, queue_control, transitions, workers
from ..jobs.queries import Published
from ..jobs.runtime import runtime, utcnow
from ..jobs.service import give_up_attempt

BATCH = 500
#: How many heartbeats a silent worker must be seen to miss. When the database was away, all of them look silent.
WATCHED_BEATS = 5


class Rescuer:
    """Looks for running jobs of workers that are gone, and for published jobs that are nowhere.

    Being wrong is harmless: a second message finds nothing to claim, and a worker that was given up and comes back
    finds its attempt over.
    """

    name = "rescuer"

    def __init__(self, app: Flask) -> None:
        self.pause: float = max(1.0, app.config["HEARTBEAT_INTERVAL"])
        self._timeout = timedelta(seconds=app.config["WORKER_TIMEOUT"])
        self._watch: float = WATCHED_BEATS * app.config["HEARTBEAT_INTERVAL"]
        self._patience = timedelta(seconds=app.config["LOST_MESSAGE_AFTER"])
        self._max_rescues: int = app.config["MAX_RESCUES"]
        self._silent: dict[
            str, tuple[datetime, float]
        ] = {}  # worker → its last heartbeat, and since when it is watched
        self._suspects: set[tuple[str, int]] = set()

    def run(self) -> int:
        """Rescue what is lost; return how many jobs."""
        try:
            return self._rescue_abandoned() + self._find_lost_messages()
        except SQLAlchemyError:
            self._silent = {}  # nobody could beat meanwhile
            raise

    def _rescue_abandoned(self) -> int:
        rescued = 0
        with runtime().engine.connect() as connection:
            gone = self._gone(connection)
            abandoned = queries.held_by(connection, gone, BATCH) if gone else []
            abandoned += queries.held_by_nobody(connection, utcnow() - self._timeout, BATCH)
        for job in abandoned:
            reason = f"worker {job.worker} is gone"
            rescued += give_up_attempt(job.id, job.attempt, reason=reason, max_rescues=self._max_rescues) is not None
        return rescued

    def _gone(self, connection: Connection) -> list[str]:
        """Return the workers that have been silent for too long, and watched for a while in which they could speak."""
        now = time.monotonic()
        seen = {}
        for worker_id, beat in workers.silent(connection, self._timeout).items():
            known = self._silent.get(worker_id)
            seen[worker_id] = known if known is not None and known[0] == beat else (beat, now)
        self._silent = seen
        return [worker_id for worker_id, (_, since) in seen.items() if now - since >= self._watch]

    def _find_lost_messages(self) -> int:
        """Publish again what is nowhere, twice in a row: no living worker has it, and its queue has not either."""
        published_by = utcnow() - self._patience
        nowhere: set[tuple[str, int]] = set()
        with runtime().engine.connect() as connection:
            waiting = {
                queue: queries.published_before(connection, published_by, queue, BATCH)
                for queue in queries.queues_with_published(connection)
            }
            paused = queue_control.paused(connection) if any(waiting.values()) else {}
            held = workers.held_by_the_living(connection, self._timeout) if any(waiting.values()) else set()
            newest = workers.newest_taken(connection) if any(waiting.values()) else {}
            # What was taken from a paused queue went back: nothing was passed over. It may be empty all the same.
            newest = {queue: taken for queue, taken in newest.items() if queue not in paused}
        for queue, jobs in waiting.items():
            unheld = [job for job in jobs if job.id not in held]
            if unheld:
                is_empty, taken = _is_empty(queue), newest.get(queue, {})
                unheld = [
                    job for job in unheld if (is_empty and not job.elsewhere) or self._was_passed_over(job, taken)
                ]
            nowhere.update((job.id, job.attempt) for job in unheld)
        lost, self._suspects = nowhere & self._suspects, nowhere
        if not lost:
            return 0
        with runtime().engine.connect() as connection:
            return sum(transitions.publish_again(connection, job_id, attempt, utcnow()) for job_id, attempt in lost)

    def _was_passed_over(self, job: Published, newest: dict[int, float]) -> bool:
        """Say whether a worker took a message of the same queue that should have come later.

        Those of the same or a lower priority that were sent a while after it should have; a while, because the clocks
        of hosts differ.
        """
        later = job.published_at.timestamp() + self._patience.total_seconds()
        return any(priority <= job.priority and moment > later for priority, moment in newest.items())


def _is_empty(queue: str) -> bool:
    publisher = runtime().publisher
    try:
        return publisher is not None and publisher.depth(queue) == 0
    except BrokerUnavailable:
        return False  # unknown is not lost
