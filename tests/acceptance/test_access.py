"""`make run` on a fresh machine: open there until the first key exists, and closed within a second from then on."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from .stack import ROOT, until
from .test_run import Run, start

__all__ = ["start"]

#: Seconds; a second that look-ups may be remembered, and some for a busy machine.
SOON = 5.0


def keys(run: Run, *command: str) -> str:
    """Run `flask keys` as somebody on the machine would."""
    environment = {**run.supervisor.environ(), "FLASK_APP": "task_app"}
    done = subprocess.run(
        [sys.executable, "-m", "flask", "keys", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def status(run: Run, path: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(run.address + path, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_fresh_service_is_open_here_until_there_is_a_key(start: Any) -> None:
    run = start().until_ready()
    until(lambda: "open on this machine, until there is a key: flask keys create" in run.output, "the announcement")
    assert status(run, "/tasks") == 200
    assert status(run, "/tasks", Host="evil.example") == 401
    assert status(run, "/tasks", **{"X-Forwarded-For": "127.0.0.1"}) == 401
    secret_key = Path(run.instance, "secret_key").read_text().strip()

    key = keys(run, "create", "me", "--role", "viewer")
    made = time.monotonic()
    until(lambda: status(run, "/tasks") == 401, "the service to close", SOON)
    bearer = {"Authorization": f"Bearer {key}"}
    assert status(run, "/tasks", **bearer) == 200
    assert status(run, "/run-task", **bearer) == 403
    keys(run, "revoke", "me")
    until(lambda: status(run, "/tasks", **bearer) == 401, "the key to open nothing", SOON)
    assert time.monotonic() - made < 60
    assert key not in run.output and secret_key not in run.output


def test_a_server_for_the_network_says_who_may_come_in(start: Any) -> None:
    run = start(HOST="0.0.0.0", FLASK_AUTH="off").until_ready()
    until(lambda: "AUTH is off: everybody ON THE NETWORK may do everything" in run.output, "the warning")
    assert "AUTH IS OFF ON 0.0.0.0" in run.output  # the web server's log
