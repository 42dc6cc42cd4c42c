"""The README's tour, run as it stands there."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .stack import ROOT, Stack

SEEN = [
    "202 ACCEPTED",
    "Location: /tasks/",
    '"task_result":5',
    "event: job",
    "event: end",
    "Not a valid integer.",
    "succeeded after 2 failures",
    '"waiting_for":"due time"',
    '"task_status":"REVOKED"',
]


def tour() -> str:
    text = Path(ROOT, "README.md").read_text(encoding="utf-8")
    section = text.split("## A tour")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_tour_of_the_readme_works(embedded_stack: Stack) -> None:
    embedded_stack.start_worker()
    address = embedded_stack.start_web()
    script = tour().replace("http://127.0.0.1:5000", address)
    assert address in script
    bash = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(bash, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert [what for what in SEEN if what not in done.stdout] == []
