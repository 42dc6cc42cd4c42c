"""How much memory a process and its children take."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def pool_of(worker: Any) -> list[int]:
    """Return the ids of the processes of a worker's pool; pools of threads have none of their own."""
    processes = getattr(getattr(worker.pool, "_pool", None), "_pool", None) or ()
    return [process.pid for process in list(processes)]


def memory_of(pids: Iterable[int]) -> int | None:
    """Return the bytes that these processes take together; None where nobody can tell, that is outside Linux.

    Memory that they share, as forked processes do, counts once: each is told its part. That takes the kernel some
    hundred microseconds a process.
    """
    found = [bytes_of for pid in pids if (bytes_of := _share_of(pid) or _all_of(pid)) is not None]
    return sum(found) if found else None


def _share_of(pid: int) -> int | None:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None  # it has ended, the kernel is old, or this is another system
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), None)


def _all_of(pid: int) -> int | None:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
