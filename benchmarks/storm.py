"""A task that reports its progress 10 000 times: how long it takes, and how many writes reach the database."""

import json
import statistics
import time
from typing import Any

from sqlalchemy import create_engine, text

from .contestants import EVERYBODY, OURS, Contestant
from .throughput import arena, working
from .ticks import REPORTS

PEER = EVERYBODY["celery-redis"]


def measure(rounds: int) -> dict[str, Any]:
    """Return the median seconds of each, and our writes."""
    found: dict[str, list[float]] = {OURS.name: [], PEER.name: []}
    writes: list[int] = []
    for turn in range(rounds):
        for contestant in (OURS, PEER) if turn % 2 else (PEER, OURS):
            seconds, written = storm(contestant)
            found[contestant.name].append(seconds)
            writes += [written] if contestant.ours else []
            print(f"  round {turn + 1}, {contestant.name}: {seconds:.2f} s, {written} writes", flush=True)
    return {
        OURS.name: {"seconds": statistics.median(found[OURS.name]), "writes": statistics.median(writes)},
        PEER.name: {"seconds": statistics.median(found[PEER.name]), "writes": REPORTS},
    }


def storm(contestant: Contestant) -> tuple[float, int]:
    """Run one such job; return the seconds its reports took, and how often its row was written meanwhile."""
    with arena(contestant) as place, working(place, contestant):
        if place.run(contestant, contestant.submit("storm", 1)).wait() != 0:
            raise RuntimeError(place.output())
        result = place.folder / "storm"
        deadline = time.monotonic() + 120
        while not result.exists() or not result.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                raise RuntimeError(place.output())
            time.sleep(0.05)
        written = REPORTS
        if contestant.ours:
            engine = create_engine(place.sql_url)
            with engine.connect() as connection:
                # The version counts the moves; one is the row itself, one its mark as published, one the claim.
                written = max(0, int(connection.execute(text("SELECT max(version) FROM job")).scalar_one()) - 3)
            engine.dispose()
        return float(json.loads(result.read_text())), written
