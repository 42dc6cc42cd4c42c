"""What do the guarantees cost? Two trees of this project, alternating in one run.

    git worktree add /tmp/before COMMIT
    .venv/bin/python benchmarks/price.py /tmp/before . --rounds 5

Each round starts a fresh database and queue on the local PostgreSQL and Redis (`TEST_POSTGRESQL_URL`,
`TEST_REDIS_URL`, as for the tests), puts all jobs on the broker, starts one worker, and takes two figures: jobs per
second from the first start to the last end, as the job table tells it, and CPU time per job of all the worker's
processes. On a machine that others share the second is the steadier one. Medians and their ratios are printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROUND = """
import json, sys, tempfile
from pathlib import Path
import psutil
from sqlalchemy import text
from tests.acceptance.stack import running, until
from task_app.jobs import publishing, service
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission

def seconds(processes):
    return sum(sum(process.cpu_times()[:2]) for process in processes)

number = int(sys.argv[1])
with running(Path(tempfile.mkdtemp()), "postgresql", "redis") as stack:
    with stack.app.app_context():
        service.submit_many([Submission(task="probe.echo", args="[1]", queue=stack.queue)] * number)
        while publishing.dispatch(200):
            pass
    worker = psutil.Process(stack.start_worker("-l", "WARNING").pid)
    processes = [worker, *worker.children(recursive=True)]
    spent, ended = seconds(processes), stack.counts().get("SUCCESS", 0)
    until(lambda: stack.counts() == {"SUCCESS": number}, "the end", 300)
    spent = seconds(processes) - spent
    with stack.app.app_context(), runtime().engine.connect() as connection:
        took = connection.execute(text("SELECT max(finished_at) - min(started_at) FROM job")).scalar_one()
    print(json.dumps([number / took.total_seconds(), 1000 * spent / (number - ended)]))
"""


class Price(NamedTuple):
    """What one round found."""

    rate: float  # jobs per second
    cpu: float  # milliseconds per job, all processes of the worker


def run_round(tree: Path, number: int) -> Price:
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
    return Price(*json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Alternate between the trees, and compare medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=3000)
    options = parser.parse_args()
    trees = {"before": options.before.resolve(), "after": options.after.resolve()}
    found: dict[str, list[Price]] = {name: [] for name in trees}
    for number in range(options.rounds):
        for name in trees if number % 2 else reversed(trees):
            price = run_round(trees[name], options.jobs)
            found[name].append(price)
            print(f"round {number + 1}, {name}: {price.rate:.0f} jobs/s, {price.cpu:.2f} ms of CPU a job", flush=True)
    before, after = (Price(*map(statistics.median, zip(*found[name], strict=True))) for name in trees)
    print(f"jobs/s: before {before.rate:.0f}, after {after.rate:.0f}: {after.rate / before.rate:.2f} ×")
    print(f"CPU a job: before {before.cpu:.2f} ms, after {after.cpu:.2f} ms: {before.cpu / after.cpu:.2f} × as cheap")


if __name__ == "__main__":
    main()
