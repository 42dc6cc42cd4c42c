"""What came of the runs: JSON for programs beside a page of tables for people."""

import json
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

from .run import Outcome

BEGIN, END = "<!-- chaos report: begin -->", "<!-- chaos report: end -->"
STATES = ("SUCCESS", "FAILURE", "REVOKED")


def document(outcome: Outcome) -> dict[str, Any]:
    """Return a run as JSON values."""
    return {
        "pair": outcome.pair,
        "seed": outcome.seed,
        "jobs": outcome.jobs,
        "accepted": outcome.accepted,
        "seconds": round(outcome.took, 1),
        "settled_in": round(outcome.settled_in, 1),
        "faults": dict(outcome.faults),
        "outcomes": {kind: dict(states) for kind, states in sorted(outcome.outcomes.items())},
        "recoveries": {fault: [round(one, 2) for one in took] for fault, took in sorted(outcome.recoveries.items())},
        "slow": outcome.slow,
        "counters": outcome.counters,
        "violations": [vars(violation) for violation in outcome.violations],
    }


def add(file: Path, outcome: Outcome) -> None:
    """Put a run into a page, between its markers if it has them; a run of the same pair and seed is replaced."""
    data = file.with_suffix(".json")
    runs = json.loads(data.read_text()) if data.exists() else []
    new = document(outcome)
    runs = [run for run in runs if (run["pair"], run["seed"]) != (new["pair"], new["seed"])] + [new]
    data.write_text(json.dumps(runs, indent=1) + "\n")
    page = file.read_text() if file.exists() else ""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    file.write_text(f"{before}{BEGIN}\n{tables(runs)}\n{END}" + (after or "\n"))


def tables(runs: list[dict[str, Any]]) -> str:
    """Write all runs as tables."""
    return "\n\n".join([_runs(runs), _faults(runs), _outcomes(runs)])


def _runs(runs: list[dict[str, Any]]) -> str:
    rows = [
        [
            run["pair"],
            run["seed"],
            run["jobs"],
            sum(run["faults"].values()),
            run["counters"]["lost attempts"],
            run["counters"]["dropped"],
            run["counters"]["late writes"],
            len(run["violations"]),
        ]
        for run in sorted(runs, key=lambda run: (run["pair"], run["seed"]))
    ]
    heads = ["pair", "seed", "jobs", "faults", "attempts lost", "messages dropped", "late writes refused", "violations"]
    return _table(heads, rows)


def _faults(runs: list[dict[str, Any]]) -> str:
    counts: Counter[str] = Counter()
    seconds: dict[str, list[float]] = {}
    for run in runs:
        counts.update(run["faults"])
        for fault, took in run["recoveries"].items():
            seconds.setdefault(fault, []).extend(took)
    rows = [
        [fault, count, f"{median(seconds[fault]):.1f} s", f"{max(seconds[fault]):.1f} s"]
        for fault, count in sorted(counts.items())
        if seconds.get(fault)
    ]
    return _table(["fault", "times", "recovery, median", "worst"], rows)


def _outcomes(runs: list[dict[str, Any]]) -> str:
    counts: dict[str, Counter[str]] = {}
    for run in runs:
        for kind, states in run["outcomes"].items():
            counts.setdefault(kind, Counter()).update(states)
    rows = [[kind, *(states.get(state, 0) for state in STATES)] for kind, states in sorted(counts.items())]
    return _table(["kind of job", *STATES], rows)


def _table(heads: list[str], rows: list[list[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
