"""Is the process alive, is the service ready? For load balancers and monitors."""

import threading
import time
from collections.abc import Callable

from flask import Flask, Response, current_app
from flask_smorest import Blueprint
from marshmallow import Schema, fields

from ..jobs import queries
from ..web.access import guard
from ..web.problems import MEDIA_TYPE, problem
from .job import json_response
from .schemas import ProblemSchema

#: Seconds; both checks run at the same time.
TIME_TO_ANSWER = 1.5

blueprint = Blueprint("health", __name__, description="Is it alive, is it ready?")
# Load balancers have no key; what they learn is in a few words.
guard(blueprint, open_to_all=("healthz", "readyz"))


class Probe:
    """A check that must answer in time. One that hangs is left alone, and not started again while it hangs."""

    def __init__(self, name: str, check: Callable[[], None]) -> None:
        self.name = name
        self._check = check
        self._lock = threading.Lock()
        self._running: _Run | None = None

    def start(self) -> "_Run":
        """Start the check, or join the one that is under way."""
        with self._lock:
            if self._running is None or self._running.done.is_set():
                self._running = _Run(self.name, self._check)
            return self._running


class _Run:
    """One run of a check, in its own thread."""

    def __init__(self, name: str, check: Callable[[], None]) -> None:
        self.done = threading.Event()
        self.problem: str | None = None
        # A daemon, so that a hanging check can't keep the process from ending.
        threading.Thread(target=self._work, args=(check,), name=f"readyz {name}", daemon=True).start()

    def _work(self, check: Callable[[], None]) -> None:
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the answer is: not ready
            self.problem = type(error).__name__
        finally:
            self.done.set()

    def outcome(self, timeout: float) -> str:
        """Return "ok", or in a few words what is wrong; details might hold addresses and go to no stranger."""
        if not self.done.wait(timeout):
            return "no answer"
        return "ok" if self.problem is None else f"unreachable ({self.problem})"


def init_app(app: Flask) -> None:
    """Make the app's probes."""

    def database() -> None:
        with app.extensions["jobs"].engine.connect() as connection:
            queries.versions(connection, [""])

    def broker() -> None:
        celery = app.extensions["celery"]
        options = {**celery.conf.broker_transport_options, "socket_timeout": 1, "socket_connect_timeout": 1}
        with celery.connection_for_write(connect_timeout=1, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)

    app.extensions["probes"] = [Probe("database", database), Probe("broker", broker)]


class HealthSchema(Schema):
    """The process answers."""

    status = fields.String(required=True)


class ReadySchema(HealthSchema):
    """What the service needs answers."""

    checks = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


@blueprint.route("/healthz")
@blueprint.response(200, HealthSchema)
def healthz() -> Response:
    """Say that the process is alive"""
    return json_response({"status": "ok"})


@blueprint.route("/readyz")
@blueprint.response(200, ReadySchema)
@blueprint.alt_response(503, schema=ProblemSchema, content_type=MEDIA_TYPE)
def readyz() -> Response:
    """Say whether database and broker answer, within two seconds

    503 tells in `checks` which of them doesn't.
    """
    runs = {probe.name: probe.start() for probe in current_app.extensions["probes"]}
    deadline = time.monotonic() + TIME_TO_ANSWER
    checks = {name: run.outcome(max(0.0, deadline - time.monotonic())) for name, run in runs.items()}
    failed = [f"{name}: {outcome}" for name, outcome in checks.items() if outcome != "ok"]
    if failed:
        return problem(503, "; ".join(failed), checks=checks)
    return json_response({"status": "ok", "checks": checks})
