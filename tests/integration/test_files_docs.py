"""docs/files.md: its task runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from pathlib import Path
from flask_migrate import upgrade
from task_app import create_app
from task_app.files import service
from tests.conftest import settings_for
from tests.inprocess import run_attempt

app = create_app(settings_for(Path(sys.argv[1])))
with app.app_context():
    upgrade()
    stored = service.store(b"one\\ntwo\\n", "table.csv")
    job = run_attempt(app, count_lines.delay(stored.id).id)
    assert (job.state, job.result) == ("SUCCESS", 2), job
    assert [made["name"] for made in job.artefacts] == ["lines.txt"]
"""


def test_the_task_of_the_page_works(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "files.md").read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", block + PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
