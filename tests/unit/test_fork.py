"""The gate between forks and threads; in a process of its own, because a guard at fork is for good."""

import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import settings_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing forks on Windows")

PARENT = """
import os, sys, threading
from task_app import create_app
from task_app.mirror.fork import gate

gate.protect(create_app(eval(sys.argv[1])))
inside, forked = threading.Event(), threading.Event()
met = []

def work():
    with gate:
        inside.set()
        met.append(forked.wait(0.5))  # half a second in which a fork that doesn't wait would come

def fork():
    child = os.fork()
    if child == 0:
        with gate:  # whoever was inside in the parent is not in here
            os._exit(7)
    forked.set()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
inside.wait()
code = fork()
for thread in threads:
    thread.join()
with gate:
    print(code, forked.is_set(), met[0])
"""


def test_a_fork_waits_while_a_thread_is_inside_the_gate(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, repr(settings_for(tmp_path))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "7 True False\n"), done.stderr
