"""From submit to start on an idle system: one job at a time, from a Python process."""

import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from . import ticks
from .contestants import EVERYBODY, OURS, Contestant
from .throughput import arena, working

SAMPLES = 200
PEER = EVERYBODY["celery-redis"]

#: Runs in the contestant's own environment: submits a job, waits for its tick, and again.
CLIENT = """
import json, os, sys, time
sys.path.insert(0, {tools!r})
import ticks
{prepare}
place, found = os.environ["BENCH_TICKS"], []
def size():
    return os.stat(place).st_size if os.path.exists(place) else 0
for number in range({samples} + 20):
    before, begin = size(), time.time_ns()
    submit()
    while size() == before:
        time.sleep(0.0002)
    found.append(begin)
    time.sleep(0.02)
print(json.dumps(found))
"""
PREPARE = {
    True: """
from benchmarks.ours import celery_app, flask_app
task = celery_app.tasks["noop"]
submit = lambda: task.delay("")
""",
    False: """
from celery_app import tasks
submit = lambda: tasks["noop"].delay("")
""",
}


def measure(rounds: int) -> dict[str, Any]:
    """Return the median and the 95th percentile (ms) of each, over all rounds."""
    found: dict[str, list[float]] = {OURS.name: [], PEER.name: []}
    for turn in range(rounds):
        for contestant in (OURS, PEER) if turn % 2 else (PEER, OURS):
            times = sample(contestant)
            found[contestant.name] += times
            print(f"  round {turn + 1}, {contestant.name}: {statistics.median(times):.2f} ms", flush=True)
    return {
        name: {"p50": statistics.median(times), "p95": sorted(times)[int(len(times) * 0.95)]}
        for name, times in found.items()
    }


def sample(contestant: Contestant) -> list[float]:
    """Return milliseconds from submit to start, of one job after the other."""
    with arena(contestant) as place, working(place, contestant):
        script = CLIENT.format(
            tools=str(Path(ticks.__file__).parent), prepare=PREPARE[contestant.ours], samples=SAMPLES
        )
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(script)
            file.flush()
            variables = place.variables(contestant)
            path = str(contestant.folder)
            done = subprocess.run(
                [contestant.python, file.name],
                cwd=contestant.folder,
                env=variables | {"PYTHONPATH": f"{path}:{variables.get('PYTHONPATH', '')}"},
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
        if done.returncode:
            raise RuntimeError(done.stderr[-3000:])
        begun = json.loads(done.stdout.splitlines()[-1])
        started = ticks.read(str(place.ticks))
        return [(start - begin) / 1e6 for begin, start in zip(begun, started, strict=True)][20:]
