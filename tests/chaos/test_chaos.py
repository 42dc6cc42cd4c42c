"""The short form of `make chaos`: a fixed seed and a handful of faults on each pair. The long form draws its seeds."""

from pathlib import Path

import pytest

from .parts import PAIRS
from .run import run

SEED = 20_26
JOBS = 150
FAULTS = (
    "kill -9 web",
    "kill -9 worker",
    "kill -9 worker child",
    "restart broker",
    "flush broker",
    "restart database",
    "deliver twice",
    "pause queue",
)


#: `make chaos` takes the others as well.
SHORT = [
    pytest.param(pair, marks=pytest.mark.xdist_group(f"chaos {pair}"))
    for pair in PAIRS
    if pair in ("sqlite+embedded", "postgresql+redis")
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pair", SHORT)
def test_no_promise_is_broken_whatever_dies(tmp_path: Path, pair: str) -> None:
    outcome = run(pair, SEED, JOBS, tmp_path, FAULTS)
    assert not outcome.violations, outcome.evidence
    assert outcome.accepted >= 0.9 * JOBS
    assert set(outcome.recoveries) == set(FAULTS)
