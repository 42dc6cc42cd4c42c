"""What do the guarantees cost? Jobs per second of two trees of this project, alternating in one run.

    git worktree add /tmp/before COMMIT
    .venv/bin/python benchmarks/price.py /tmp/before . --rounds 5

Each round starts a fresh database and queue on the local PostgreSQL and Redis (`TEST_POSTGRESQL_URL`,
`TEST_REDIS_URL`, as for the tests), puts all jobs on the broker, starts one worker and takes the time from the first
start to the last end, as the job table tells it. Medians and their ratio are printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUND = """
import json, sys, tempfile
from pathlib import Path
from sqlalchemy import text
from tests.acceptance.stack import running, until
from task_app.jobs import publishing, service
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission

number = int(sys.argv[1])
with running(Path(tempfile.mkdtemp()), "postgresql", "redis") as stack:
    with stack.app.app_context():
        service.submit_many([Submission(task="probe.echo", args="[1]", queue=stack.queue)] * number)
        while publishing.dispatch(200):
            pass
    stack.start_worker("-l", "WARNING")
    until(lambda: stack.counts() == {"SUCCESS": number}, "the end", 300)
    with stack.app.app_context(), runtime().engine.connect() as connection:
        took = connection.execute(text("SELECT max(finished_at) - min(started_at) FROM job")).scalar_one()
    print(json.dumps(number / took.total_seconds()))
"""


def jobs_per_second(tree: Path, number: int) -> float:
    """Run one round in a process of its own, on the code of that tree."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(ROUND)
        script.flush()
        done = subprocess.run(
            [sys.executable, script.name, str(number)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree)},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Alternate between the trees, and compare medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=3000)
    options = parser.parse_args()
    trees = {"before": options.before.resolve(), "after": options.after.resolve()}
    found: dict[str, list[float]] = {name: [] for name in trees}
    for number in range(options.rounds):
        for name in trees if number % 2 else reversed(trees):
            found[name].append(jobs_per_second(trees[name], options.jobs))
            print(f"round {number + 1}, {name}: {found[name][-1]:.0f} jobs/s", flush=True)
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    print(f"before {medians['before']:.0f}, after {medians['after']:.0f} jobs/s", end="")
    print(f": {medians['after'] / medians['before']:.2f} ×")


if __name__ == "__main__":
    main()
