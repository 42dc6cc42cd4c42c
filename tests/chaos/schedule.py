"""When which fault strikes: drawn from the seed, driven by progress and not by the clock, so that a seed replays."""

import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass

from .faults import KINDS, Fault
from .recovery import Recoveries
from .world import World

#: fault → how often it strikes per 1 000 jobs
RATES = {
    "kill -9 web": 1.5,
    "kill -9 beat": 1,
    "kill -9 worker": 2,
    "kill -9 worker child": 3,
    "SIGSTOP worker past its lease": 1.5,
    "restart broker": 1.5,
    "flush broker": 1.5,
    "freeze broker": 1.5,
    "restart database": 1.5,
    "deliver twice": 4,
    "pause queue": 3,
}


@dataclass(frozen=True)
class Strike:
    """One fault, due when so many jobs were submitted."""

    at: int
    kind: type[Fault]
    number: int

    def __str__(self) -> str:
        return f"{self.at:>6} {self.kind.name}"


def draw(seed: int, jobs: int, only: tuple[str, ...] | None = None) -> list[Strike]:
    """Draw the schedule of a run, in order. `only` names the faults of a short one; each strikes once."""
    rng = random.Random(f"{seed} schedule")
    strikes = []
    for kind in KINDS:
        times = max(1, round(RATES[kind.name] * jobs / 1000)) if only is None else only.count(kind.name)
        for number in range(times):
            # Spread over the run, each within its own share of it.
            share = (number + rng.uniform(0.1, 0.9)) / times
            strikes.append(Strike(int(jobs * (0.05 + 0.85 * share)), kind, number))
    return sorted(strikes, key=lambda strike: (strike.at, strike.kind.name))


class Lanes:
    """Runs a schedule: one thread for each lane."""

    def __init__(self, world: World, recoveries: Recoveries, seed: int, strikes: list[Strike]) -> None:
        self._world = world
        self._recoveries = recoveries
        self._seed = seed
        by_lane: dict[str, list[Strike]] = defaultdict(list)
        for strike in strikes:
            by_lane[strike.kind.lane].append(strike)
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"faults-{name}", daemon=True)
            for name, lane in by_lane.items()
        ]

    def start(self) -> None:
        """Start waiting for progress."""
        for thread in self._threads:
            thread.start()

    def join(self, patience: float) -> None:
        """Wait until the last fault is over."""
        deadline = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                self._world.book.surprise(f"{thread.name} did not come to an end")

    def _run(self, lane: list[Strike]) -> None:
        for strike in lane:
            if not self._world.book.wait_for_accepted(strike.at, self._world.stop_all):
                return
            try:
                self._strike(strike)
            except Exception as error:  # noqa: BLE001 - the other faults of the lane must still come
                self._world.book.surprise(f"{strike.kind.name} went wrong: {error!r}")

    def _strike(self, strike: Strike) -> None:
        rng = random.Random(f"{self._seed} {strike.kind.name} {strike.number}")
        fault = strike.kind(self._world, rng)
        fault.aim()
        with self._recoveries.watch(strike.kind.name) as canary:
            heal = fault.strike()
            canary()
            if heal is not None:
                heal()
