"""Goes on with chains and chords whose last part died before it could."""

from celery import Celery
from flask import current_app

from ..jobs import service

BATCH = 100


class Joiner:
    """Sends the bodies of complete chords, and ends what waits for what will never come.

    Joining twice makes one body: its id is frozen.
    """

    name = "joiner"
    pause = 5.0

    def __init__(self) -> None:
        self._places = service.Places()

    def run(self) -> int:
        """Join, and end, what is left over."""
        celery: Celery = current_app.extensions["celery"]
        joined: int = celery.backend.join_left_over(BATCH)
        ended, self._places = service.end_orphans(BATCH, self._places)
        return joined + ended
