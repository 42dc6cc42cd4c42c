"""The gallery's page, and the service without the libraries of the extra `gallery`."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from ..inprocess import run_attempt
from ..website import website

ROOT = Path(__file__).resolve().parents[2]

#: Lets Python find no module of this name, as if it were not installed.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[2]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from task_app import create_app

app = create_app({"INSTANCE_PATH": sys.argv[1], "AUTH": "off", "SECRET_KEY": "x"})
answer = app.test_client().get("/task-types")
assert answer.status_code == 200, answer.text
print(*sorted(task["name"] for task in answer.json))
"""


def tasks_without(module: str, folder: Path) -> tuple[set[str], str]:
    """Return the names of the tasks that are offered where this module is missing, and what was complained of."""
    command = [sys.executable, "-c", WITHOUT, str(folder), module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return set(done.stdout.split()), done.stderr


def test_with_all_libraries_all_tasks_are_there(tmp_path: Path) -> None:
    names, problems = tasks_without("none_at_all", tmp_path)
    assert {"crawl", "add", "send_email"} <= names
    assert problems == ""


@pytest.mark.parametrize("library", ["httpx", "httpcore", "selectolax", "protego"])
def test_without_its_library_a_task_is_not_there_and_the_others_are(tmp_path: Path, library: str) -> None:
    names, problems = tasks_without(library, tmp_path)
    assert "crawl" not in names
    assert {"add", "send_email", "process"} <= names
    assert problems == ""


def test_a_module_of_our_own_that_is_missing_is_an_error(tmp_path: Path) -> None:
    names, problems = tasks_without("task_app.outbound", tmp_path)
    assert names == set()
    assert "ModuleNotFoundError: No module named 'task_app.outbound'" in problems


def test_the_example_of_reading_a_url_works(app: Flask) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/howto/gallery.md").read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "documented"}
    exec(compile(block, "gallery.md", "exec", dont_inherit=True), names)
    app.config["CRAWL_PRIVATE"] = True
    with website() as site:
        job_id = names["weigh_page"].delay(site.url()).id
        assert run_attempt(app, job_id).result == len("nothing here")
