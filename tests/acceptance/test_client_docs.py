"""docs/client.md, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from .stack import ROOT, Stack

SEEN = ["5\n", "PENDING because it waits for its due time", "PROGRESS", "SUCCESS 100.0", "422 {'args': {'0': ["]


def test_the_python_of_the_page_works(embedded_stack: Stack) -> None:
    embedded_stack.start_worker()
    address = embedded_stack.start_web()
    text = Path(ROOT, "docs", "client.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 5
    program = "\n".join(blocks).replace("http://127.0.0.1:5000", address)
    assert address in program
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert [what for what in SEEN if what not in done.stdout] == []
