"""Puts due, unpublished jobs on the broker: delays, retries, outages and crashed submits wait in the table for it."""

import time

from flask import Flask

from ..jobs import publishing

BATCH = 200


class Dispatcher:
    """Publishes what is due, a batch at a time; while there is more, as fast as `DISPATCH_RATE` allows."""

    name = "dispatcher"

    def __init__(self, app: Flask) -> None:
        self._interval: float = app.config["DISPATCH_INTERVAL"]
        self._rate: int = app.config["DISPATCH_RATE"]
        self.pause = self._interval

    def run(self) -> int:
        """Publish up to a batch of jobs whose time has come."""
        begin = time.monotonic()
        sent = publishing.dispatch(BATCH)
        took = time.monotonic() - begin
        # After an outage a single message goes first; what waits behind it need not wait for the next look.
        self.pause = max(0.0, sent / self._rate - took) if sent else self._interval
        return sent
