"""Finds jobs whose worker or whose message is gone, and puts them back to waiting."""

from datetime import timedelta

from flask import Flask

from ..errors import BrokerUnavailable
from ..jobs import queries, transitions, workers
from ..jobs.runtime import runtime, utcnow
from ..jobs.service import give_up_attempt

BATCH = 500


class Rescuer:
    """Looks for running jobs of workers that are gone, and for published jobs that are nowhere.

    A job is nowhere when it was published a while ago, no living worker holds it and the broker's queue is empty,
    twice in a row. Being wrong is harmless: a second message finds nothing to claim.
    """

    name = "rescuer"

    def __init__(self, app: Flask) -> None:
        self.interval: float = max(1.0, app.config["HEARTBEAT_INTERVAL"])
        self._timeout = timedelta(seconds=app.config["WORKER_TIMEOUT"])
        self._patience = timedelta(seconds=app.config["LOST_MESSAGE_AFTER"])
        self._max_rescues: int = app.config["MAX_RESCUES"]
        self._suspects: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Rescue what is lost."""
        self._rescue_abandoned()
        self._find_lost_messages()

    def _rescue_abandoned(self) -> None:
        with runtime().engine.connect() as connection:
            gone = workers.gone(connection, self._timeout)
            abandoned = queries.held_by(connection, gone, BATCH) if gone else []
        for job in abandoned:
            reason = f"worker {job.worker} is gone"
            give_up_attempt(job.id, job.attempt, reason=reason, max_rescues=self._max_rescues)

    def _find_lost_messages(self) -> None:
        published_by = utcnow() - self._patience
        with runtime().engine.connect() as connection:
            waiting = queries.queues_waiting_since(connection, published_by)
        empty = [queue for queue in waiting if _is_empty(queue)]
        nowhere: set[tuple[str, int]] = set()
        with runtime().engine.connect() as connection:
            held = workers.held_by_the_living(connection, self._timeout) if empty else set()
            for queue in empty:
                unclaimed = queries.published_before(connection, published_by, queue, BATCH)
                nowhere.update(job for job in unclaimed if job[0] not in held)
            lost, self._suspects = nowhere & self._suspects, nowhere
            for job_id, attempt in lost:
                transitions.publish_again(connection, job_id, attempt, utcnow())


def _is_empty(queue: str) -> bool:
    publisher = runtime().publisher
    try:
        return publisher is not None and publisher.depth(queue) == 0
    except BrokerUnavailable:
        return False  # unknown is not lost
