"""500 clients follow jobs on one web process: queries, memory, and how soon each sees a change."""

import http.client
import re
import statistics
import threading
import time
from typing import Any

import psutil
from sqlalchemy import create_engine, text

from .contestants import OURS
from .submits import serving
from .throughput import Arena, arena

STREAMS = 500
CHANGES = 4
SERVER = ("--workers", "1", "--threads", str(STREAMS + 20), "--log-level", "warning")


def measure(rounds: int) -> dict[str, Any]:
    """Return medians: p95 of the delay (ms), statements per second while nothing changes, memory (MB)."""
    found = [_round() for _ in range(rounds)]
    for number, one in enumerate(found):
        print(f"  round {number + 1}: {one}", flush=True)
    return {key: statistics.median(one[key] for one in found) for key in found[0]}


def _round() -> dict[str, float]:
    with arena(OURS) as place, serving(place, OURS, "task_app.wsgi:app", SERVER, WATCH_LIMIT=str(STREAMS)) as port:
        engine = create_engine(place.sql_url, isolation_level="AUTOCOMMIT")
        seen: dict[str, list[tuple[int, float]]] = {}
        ids = [_submit(port) for _ in range(STREAMS)]
        time.sleep(0.5)  # the marks of those are changes too
        clients = [threading.Thread(target=_follow, args=(port, job_id, seen), daemon=True) for job_id in ids]
        for client in clients:
            client.start()
        while len(seen) < STREAMS:
            time.sleep(0.05)
        memory = _memory(place, port)
        with engine.connect() as connection:
            idle = _statements(connection)
            changed: dict[int, float] = {}
            for _ in range(CHANGES):
                version = connection.execute(text("UPDATE job SET version = version + 1 RETURNING version")).scalars()
                moment = time.time()
                changed.update(dict.fromkeys(version, moment))
                time.sleep(2)
        engine.dispose()
        delays = sorted(
            1000 * (moment - changed[version])
            for news in seen.values()
            for version, moment in news
            if version in changed
        )
        missed = STREAMS * CHANGES - len(delays)
        return {
            "p50": delays[len(delays) // 2],
            "p95": delays[int(len(delays) * 0.95)],
            "missed": missed,
            "statements": idle,
            "memory": memory,
        }


def _submit(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/tasks/add", '{"a": 1, "b": 2}', {"Content-Type": "application/json"})
    found = re.search(rb'"task_id": ?"([^"]+)"', connection.getresponse().read())
    connection.close()
    if found is None:
        raise RuntimeError("no task_id in the answer")
    return found[1].decode()


def _follow(port: int, job_id: str, seen: dict[str, list[tuple[int, float]]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/tasks/{job_id}/events")
    answer = connection.getresponse()
    for line in answer:
        if line.startswith(b"id: "):
            seen.setdefault(job_id, []).append((int(line[4:]), time.time()))


def _memory(place: Arena, port: int) -> float:
    """Return MB, unique to the web server's processes."""
    servers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(f"127.0.0.1:{port}" in part for part in process.info["cmdline"] or [])
    ]
    return sum(process.memory_full_info().uss for process in servers) / 1e6


def _statements(connection: Any) -> float:
    """Count the commits and rollbacks of the database for three seconds: in autocommit, one a statement."""
    count = text("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
    time.sleep(12)  # sessions that are idle report what they did before after ten seconds
    before, begin = connection.execute(count).scalar_one(), time.monotonic()
    time.sleep(3)
    after = connection.execute(count).scalar_one()
    return float(after - before) / (time.monotonic() - begin)
