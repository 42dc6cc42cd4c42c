"""How much memory processes take."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from task_app.maintenance import memory
from task_app.maintenance.memory import memory_of, pool_of

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is read from /proc")


@LINUX
def test_memory_that_a_process_takes_is_told() -> None:
    before = memory_of([os.getpid()])
    ballast = bytearray(64 * 1024 * 1024)
    ballast[::4096] = b"x" * len(ballast[::4096])
    after = memory_of([os.getpid()])
    assert before is not None and after is not None and after - before > 48 * 1024 * 1024


@LINUX
def test_children_count_too_and_the_dead_do_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    alone, both = memory_of([os.getpid()]), memory_of([os.getpid(), child.pid])
    child.communicate()
    gone = memory_of([os.getpid(), child.pid])
    assert alone is not None and both is not None and gone is not None
    assert both > alone and abs(gone - alone) < both


def test_elsewhere_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert memory_of([os.getpid()]) is None


@LINUX
def test_an_old_kernel_tells_what_is_resident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "statm").write_text("1000 200 30 1 0 1 0\n")
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert memory_of([7]) == 200 * os.sysconf("SC_PAGE_SIZE")


def test_only_pools_of_processes_have_processes() -> None:
    prefork = SimpleNamespace(pool=SimpleNamespace(_pool=SimpleNamespace(_pool=[SimpleNamespace(pid=7)])))
    threads = SimpleNamespace(pool=SimpleNamespace(_pool=None))
    assert (pool_of(prefork), pool_of(threads)) == ([7], [])
