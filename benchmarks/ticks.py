"""How a benchmark sees that a job has run, the same way for every contestant: its task appends to a file.

One `write` of a few bytes to a file that is open for appending costs about a microsecond and needs no server. This
module is imported by tasks of all contestants and must need nothing but the standard library.
"""

import os
import struct
import time
from collections.abc import Callable

#: The file; in the environment of every worker.
PLACE = "BENCH_TICKS"
SIZE = 8
_file = -1


def tick() -> None:
    """Say that a job runs now (nanoseconds since the epoch)."""
    global _file  # noqa: PLW0603 - opened once a process, after the fork
    if _file < 0:
        _file = os.open(os.environ[PLACE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(_file, struct.pack("<q", time.time_ns()))


def read(path: str) -> list[int]:
    """Return when each job ran so far, earliest first."""
    with open(path, "rb") as file:  # noqa: PTH123 - a plain path is what the environment carries
        data = file.read()
    return sorted(moment for (moment,) in struct.iter_unpack("<q", data[: len(data) // SIZE * SIZE]))


WORKLOADS = ("noop", "sleep", "payload")
#: What `payload` takes and gives back.
PAYLOAD = "x" * 100_000


def noop(text: str = "") -> None:
    """Do nothing: all time is the service's."""
    tick()


def sleep(text: str = "") -> None:
    """Wait as a job that calls another service does."""
    time.sleep(0.01)
    tick()


def payload(text: str = "") -> str:
    """Take 100 KB and give them back."""
    tick()
    return text


def argument(workload: str) -> str:
    """Return what a job of this workload is given."""
    return PAYLOAD if workload == "payload" else ""


#: How often `storm` reports.
REPORTS = 10_000


def storm(report: Callable[[int], None]) -> None:
    """Report very often, and write down how many seconds that took, beside the ticks."""
    begin = time.monotonic()
    for number in range(REPORTS):
        report(number)
    with open(os.path.join(os.path.dirname(os.environ[PLACE]), "storm"), "w") as file:  # noqa: PTH118, PTH120, PTH123
        file.write(f"{time.monotonic() - begin}\n")
