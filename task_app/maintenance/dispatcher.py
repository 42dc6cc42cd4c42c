"""Puts due, unpublished jobs on the broker: delays, retries, outages and crashed submits wait in the table for it."""

from flask import Flask

from ..jobs import publishing

BATCH = 200


class Dispatcher:
    """Publishes what is due, in batches, until nothing is."""

    name = "dispatcher"

    def __init__(self, app: Flask) -> None:
        self.interval: float = app.config["DISPATCH_INTERVAL"]

    def run(self) -> None:
        """Publish every job whose time has come."""
        while publishing.dispatch(BATCH) == BATCH:
            pass
