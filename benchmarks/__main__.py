"""`make bench`: this service and its peers, side by side in one run, alternating; writes `docs/benchmarks.md`.

    python -m benchmarks                      # everything: about an hour
    python -m benchmarks --only throughput --rounds 3 --jobs 2000

Peers come from PyPI into a virtual environment of their own (`.venv-bench`, made by `make bench`). The servers
(`redis-server`, PostgreSQL) are started on ports of their own in temporary folders; one that is missing is named.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import latency, report, storm, streams, submits
from .contestants import EVERYBODY, OURS, PEERS
from .throughput import RoundFailed, Throughput, run_round

Figures = dict[str, Any]


def measure_throughput(options: argparse.Namespace, workload: str, number: int) -> Figures:
    """Let everybody do that many jobs, round after round; return medians by name."""
    found: dict[str, list[Throughput]] = {name: [] for name in options.contestants}
    for turn in range(options.rounds):
        order = list(found) if turn % 2 else list(reversed(found))
        for name in order:
            try:
                found[name].append(run_round(EVERYBODY[name], workload, number))
            except RoundFailed as failure:
                print(f"  {failure}", flush=True)
                continue
            print(f"  {workload}, round {turn + 1}, {name}: {_text(found[name][-1])}", flush=True)
    return {
        name: {
            **{field: statistics.median(getattr(one, field) for one in rounds) for field in Throughput._fields},
            "rates": [round(one.rate, 1) for one in rounds],
        }
        for name, rounds in found.items()
        if rounds
    }


def _text(one: Throughput) -> str:
    return f"{one.rate:.0f} jobs/s, {one.cpu:.2f} + {one.servers:.2f} ms of CPU a job, {one.memory:.0f} MB"


MEASURES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "throughput": lambda options: measure_throughput(options, "noop", options.jobs),
    "sleep": lambda options: measure_throughput(options, "sleep", options.jobs // 4),
    "payload": lambda options: measure_throughput(options, "payload", options.jobs // 8),
    "http": lambda options: submits.measure(options.rounds),
    "latency": lambda options: latency.measure(options.rounds),
    "streams": lambda options: streams.measure(min(3, options.rounds)),
    "storm": lambda options: storm.measure(options.rounds),
}


def main() -> None:
    """Measure what was asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MEASURES, action="append", help="a measurement; all if not given")
    parser.add_argument("--contestants", nargs="*", choices=EVERYBODY, default=list(EVERYBODY))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=4000, help="no-op jobs a round; other workloads have fewer")
    parser.add_argument("--figures", type=Path, default=report.FIGURES, help="where the figures are kept (JSON)")
    options = parser.parse_args()
    if set(options.contestants) != {OURS.name} and not (PEERS / "bin" / "python").exists():
        parser.error(f"the peers are not installed in {PEERS}: run `make bench`, or --contestants {OURS.name}")
    kept: Figures = json.loads(options.figures.read_text()) if options.figures.exists() else {}
    for name in options.only or MEASURES:
        print(name, flush=True)
        kept[name] = {"figures": MEASURES[name](options), "about": report.about(options.rounds)}
        options.figures.write_text(json.dumps(kept, indent=1) + "\n")
    report.write(kept)


if __name__ == "__main__":
    main()
