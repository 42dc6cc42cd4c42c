"""One run: a pair, a seed, so many jobs; from the first submit until the dust has settled, and what came of it."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from . import invariants, ledger
from .clients import Clients
from .facts import Facts, Row
from .invariants import Violation
from .parts import parts
from .recovery import Recoveries
from .schedule import Lanes, Strike, draw
from .workload import orders
from .world import LOOK, World

SETTLES_WITHIN = 120.0  # seconds; only a lost job makes a run wait this long
STEERING = 60.0


@dataclass(kw_only=True)
class Outcome:
    """What a run has shown."""

    pair: str
    seed: int
    jobs: int
    accepted: int
    took: float
    settled_in: float
    faults: Counter[str]
    outcomes: dict[str, Counter[str]]  # kind → state → jobs
    recoveries: dict[str, list[float]]
    slow: list[str]
    counters: dict[str, int]
    violations: list[Violation] = field(default_factory=list)
    evidence: str = ""


def run(pair: str, seed: int, jobs: int, folder: Path, only: tuple[str, ...] | None = None) -> Outcome:
    """Start everything, let the clients and the faults loose, wait until the dust settles, and count."""
    strikes = draw(seed, jobs, only)
    with parts(pair, folder) as found:
        world = World(folder, found)
        try:
            world.bring_up()
            return _unleash(world, pair, seed, jobs, strikes)
        finally:
            world.close()


def _unleash(world: World, pair: str, seed: int, jobs: int, strikes: list[Strike]) -> Outcome:
    began = time.monotonic()
    recoveries = Recoveries(world)
    clients = Clients(world, orders(seed, jobs))
    lanes = Lanes(world, recoveries, seed, strikes)
    patience = 120 + jobs / 5
    with _watching(world, recoveries):
        lanes.start()
        clients.start()
        clients.join_submitters(patience)
        lanes.join(patience)
        clients.join_steerer(STEERING)
        settling = time.monotonic()
        _settle(world)
        settled_in = time.monotonic() - settling
        recoveries.look()  # those that the watcher has not seen yet
    for fault in recoveries.unrecovered():
        world.book.surprise(f"the service has not recovered from {fault!r}")
    facts = _facts(world)
    violations = invariants.check(facts)
    return Outcome(
        pair=pair,
        seed=seed,
        jobs=len(facts.told),
        accepted=sum(told.accepted for told in facts.told.values()),
        took=time.monotonic() - began,
        settled_in=settled_in,
        faults=Counter(strike.kind.name for strike in strikes),
        outcomes=_by_kind(facts),
        recoveries=recoveries.seconds,
        slow=recoveries.slow,
        counters={
            **world.worker_counters(),
            "starts refused": world.refused_starts,
            "late writes": invariants.late_writes(facts),
            "lost attempts": sum(a.state == "LOST" for row in facts.rows.values() for a in row.attempts),
            **dict(sorted(world.book.answers.items())),
        },
        violations=violations,
        evidence=_evidence(facts, violations),
    )


@contextmanager
def _watching(world: World, recoveries: Recoveries) -> Iterator[None]:
    """Tell the clients how many jobs have ended, and measure recoveries, until the block ends."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK):
            try:
                world.book.saw_ended(world.finished())
                recoveries.look()
            except SQLAlchemyError as error:
                world.book.surprise(f"the watcher: {error!r}")

    watcher = threading.Thread(target=watch, name="watcher", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _settle(world: World) -> None:
    """Stop what makes new jobs, and wait until none is unfinished. Whether that came true, the invariants say."""
    world.retire("beat")
    deadline = time.monotonic() + SETTLES_WITHIN
    while world.unfinished() and time.monotonic() < deadline:
        world.stop_all.wait(LOOK)


def _facts(world: World) -> Facts:
    return Facts(
        rows={raw["id"]: Row.of(raw) for raw in world.rows()},
        ledger=ledger.read(world.ledger_file),
        told=world.book.jobs,
        surprises=tuple(world.book.surprises),
        max_rescues=world.app.config["MAX_RESCUES"],
        crashes=tuple(world.parts.database.crashes),
    )


def _by_kind(facts: Facts) -> dict[str, Counter[str]]:
    counted: dict[str, Counter[str]] = {}
    for row in facts.rows.values():
        kind = facts.told[row.id].wanted.kind if row.id in facts.told else row.task
        counted.setdefault(kind, Counter())[row.state] += 1
    return counted


def _evidence(facts: Facts, violations: list[Violation]) -> str:
    """Everything about each violation, for whoever has to find out."""
    parts_ = []
    for violation in violations:
        text = f"{violation.invariant}: {violation.job} {violation.what}"
        parts_.append(text if violation.job == "-" else f"{text}\n{facts.evidence(violation.job)}")
    return "\n\n".join(parts_)
