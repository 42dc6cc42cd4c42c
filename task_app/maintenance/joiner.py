"""Sends the bodies of chords that are complete and were forgotten: their last part died before it could."""

from celery import Celery
from flask import current_app


class Joiner:
    """Looks for complete chords without a body. Joining twice makes one body: its id is frozen."""

    name = "joiner"
    interval = 5.0

    def run(self) -> None:
        """Join what is left over."""
        celery: Celery = current_app.extensions["celery"]
        celery.backend.join_left_over()
