"""Submits by HTTP: requests per second against the tutorial's bare app on the same server settings, and batches."""

import http.client
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.acceptance.stack import answers, free_port, until

from .contestants import OURS, Contestant
from .throughput import Arena, arena

SERVER = ("--workers", "1", "--threads", "4", "--log-level", "warning")
CLIENTS = 4
SECONDS = 8.0
BATCH = 1000
TUTORIAL = Contestant(
    "tutorial", "tutorial app: delay(), no row", "nothing", "tutorial", (), environment={"BENCH_RESULTS": "redis"}
)


def measure(rounds: int) -> dict[str, Any]:
    """Return medians: requests/s and p99 (ms) of single submits, jobs/s of batches."""
    singles: dict[str, list[tuple[float, float]]] = {TUTORIAL.name: [], OURS.name: []}
    batches: list[float] = []
    for turn in range(rounds):
        for contestant, app in _order(turn):
            with arena(contestant) as place, serving(place, contestant, app) as port:
                singles[contestant.name].append(submits(port, contestant.ours))
                rate, slowest = singles[contestant.name][-1]
                print(f"  round {turn + 1}, {contestant.name}: {rate:.0f} submits/s, p99 {slowest:.1f} ms", flush=True)
                if contestant.ours:
                    batches.append(batch_rate(port))
                    print(f"  round {turn + 1}, batches of {BATCH}: {batches[-1]:.0f} jobs/s", flush=True)
    return {
        **{
            name: {"rate": statistics.median(rate for rate, _ in found), "p99": statistics.median(p for _, p in found)}
            for name, found in singles.items()
        },
        "batch": {"rate": statistics.median(batches)},
    }


def _order(turn: int) -> list[tuple[Contestant, str]]:
    both = [(TUTORIAL, "tutorial:app"), (OURS, "task_app.wsgi:app")]
    return both if turn % 2 else both[::-1]


@contextmanager
def serving(
    place: Arena, contestant: Contestant, app: str, server: tuple[str, ...] = SERVER, **settings: str
) -> Iterator[int]:
    """Start the web server of a contestant; yields its port."""
    port = free_port()
    with (place.folder / "output").open("ab") as output:
        process = subprocess.Popen(
            [contestant.python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *server, app],
            cwd=contestant.folder,
            env=place.variables(contestant) | {f"FLASK_{name}": value for name, value in settings.items()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: answers(port), "the web server")
        yield port
    finally:
        process.terminate()
        process.wait()


def submits(port: int, ours: bool) -> tuple[float, float]:
    """Let several clients submit for a while; return requests per second, and the 99th percentile (ms)."""
    body = json.dumps({"task": "add", "kwargs": {"a": 1, "b": 2}} if ours else {"a": 1, "b": 2})
    path = "/tasks" if ours else "/add"
    _submit_for(port, path, body, 1.0, [])
    times: list[list[float]] = [[] for _ in range(CLIENTS)]
    threads = [threading.Thread(target=_submit_for, args=(port, path, body, SECONDS, mine)) for mine in times]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, all_times = time.monotonic() - begin, sorted(one for mine in times for one in mine)
    return len(all_times) / took, 1000 * all_times[int(len(all_times) * 0.99)]


def _submit_for(port: int, path: str, body: str, seconds: float, times: list[float]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (ConnectionError, http.client.HTTPException):  # the server may close an idle connection at any moment
            connection.close()
            continue
        if answer.status != 202:
            raise RuntimeError(f"{path} answered {answer.status}")
        times.append(time.monotonic() - begin)
    connection.close()


def batch_rate(port: int) -> float:
    """Submit batches for a while; return accepted jobs per second."""
    body = json.dumps([{"task": "add", "kwargs": {"a": n, "b": 2}} for n in range(BATCH)])
    times: list[float] = []
    _submit_for(port, "/tasks/batch", body, SECONDS / 2, times)
    return BATCH * len(times) / sum(times)
