"""What really ran: a file that every execution appends to, and that no fault can take a line from.

It is no table on purpose: when the database is down, the job runs all the same and its side effect must be on record.
One short write to a file opened for appending is atomic, and what was written survives the death of its writer.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

#: The environment variable that tells the workers where it is.
VARIABLE = "CHAOS_LEDGER"

RETURNED, RAISED, ASKED_FOR_RETRY = "returned", "raised", "retry"


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a task's body. `ended` None: its process was killed, or it has not ended."""

    job: str
    attempt: int
    pid: int
    began: float  # seconds since the epoch, as in the job's history
    ended: float | None = None
    how: str | None = None  # one of the words above

    def overlaps(self, other: "Execution") -> bool:
        """Say whether both ran at one moment. A killed one is taken to have ended as soon as it began."""
        mine = self.ended if self.ended is not None else self.began
        others = other.ended if other.ended is not None else other.began
        return self.began < others and other.began < mine


@contextmanager
def executing(job: str, attempt: int, *, retries: bool = False) -> Iterator[None]:
    """Put the begin and the end of the block on record; `retries` says that a retry is asked for after it."""
    _append(job=job, attempt=attempt, event="begin")
    try:
        yield
    except BaseException:
        _append(job=job, attempt=attempt, event=RAISED)
        raise
    _append(job=job, attempt=attempt, event=ASKED_FOR_RETRY if retries else RETURNED)


def _append(**facts: object) -> None:
    line = json.dumps({**facts, "pid": os.getpid(), "wall": time.time()}) + "\n"
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        written = os.write(file, line.encode())
    finally:
        os.close(file)
    if written != len(line):
        raise OSError(f"the ledger took {written} of {len(line)} bytes")


def read(path: Path) -> dict[str, list[Execution]]:
    """Return the executions of each job, in the order in which they began."""
    found: dict[str, list[Execution]] = defaultdict(list)
    open_ones: dict[tuple[str, int, int], int] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        job, key = entry["job"], (entry["job"], entry["attempt"], entry["pid"])
        if entry["event"] == "begin":
            open_ones[key] = len(found[job])
            found[job].append(Execution(job, entry["attempt"], entry["pid"], entry["wall"]))
        else:
            place = open_ones.pop(key)
            found[job][place] = replace(found[job][place], ended=entry["wall"], how=entry["event"])
    return dict(found)
