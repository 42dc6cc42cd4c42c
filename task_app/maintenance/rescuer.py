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
        publisher = runtime().publisher
        if publisher is None:
            return
        with runtime().engine.connect() as connection:
            unclaimed = queries.published_before(connection, utcnow() - self._patience, BATCH)
            held = workers.held_by_the_living(connection, self._timeout) if unclaimed else set()
        missing = [job for job in unclaimed if job[0] not in held]
        try:
            empty = {queue for queue in {job[2] for job in missing} if publisher.depth(queue) == 0}
        except BrokerUnavailable:
            return  # unknown is not lost
        nowhere = {(job_id, attempt) for job_id, attempt, queue in missing if queue in empty}
        lost, self._suspects = nowhere & self._suspects, nowhere
        with runtime().engine.connect() as connection:
            for job_id, attempt in lost:
                transitions.publish_again(connection, job_id, attempt, utcnow())
