"""`make chaos`: the long form. Prints the seed first and last; a seed replays its workload and its schedule."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from . import report
from .parts import PAIRS
from .run import Outcome, run
from .schedule import draw


def main() -> int:
    """Run all pairs, or one; returns 1 if any promise was broken."""
    parser = argparse.ArgumentParser(prog="make chaos ARGS=…", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=2000, help="at least so many on each pair")
    parser.add_argument("--pair", choices=PAIRS, action="append", help="all if not given")
    parser.add_argument("--report", type=Path, help="a page to put the tables into; a JSON file is kept beside it")
    parser.add_argument("--keep", action="store_true", help="keep the folders of the runs, with all logs")
    options = parser.parse_args()
    # Ctrl-C and a plain kill end the same way: through every `finally`.
    signal.signal(signal.SIGTERM, _interrupt)
    print(f"seed {options.seed}")
    print("\n".join(map(str, draw(options.seed, options.jobs))), flush=True)
    broken = 0
    for pair in options.pair or PAIRS:
        outcome, folder = _run(pair, options.seed, options.jobs)
        _show(outcome)
        broken += len(outcome.violations)
        if options.report:
            report.add(options.report, outcome)
        if outcome.violations or options.keep:
            (folder / "evidence.txt").write_text(outcome.evidence)
            print(f"logs and evidence: {folder}")
        else:
            shutil.rmtree(folder)
    print(f"seed {options.seed}: {broken} violations", flush=True)
    return 1 if broken else 0


def _run(pair: str, seed: int, jobs: int) -> tuple[Outcome, Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"chaos-{pair.replace('+', '-')}-", dir="/tmp"))
    print(f"\n{pair}: {folder}", flush=True)
    return run(pair, seed, jobs, folder), folder


def _show(outcome: Outcome) -> None:
    print(report.tables([report.document(outcome)]))
    print(f"took {outcome.took:.0f} s, settled in {outcome.settled_in:.1f} s; {outcome.counters}")
    for slow in outcome.slow:
        print(f"slow: {slow}")
    for violation in outcome.violations:
        print(f"VIOLATION {violation.invariant}: {violation.job} {violation.what}")
    sys.stdout.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; everything is ended")
