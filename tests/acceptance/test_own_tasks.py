"""Tasks of a package that knows nothing of this repository: installed, or named in a setting, and run for real."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..html_form import HtmlForm
from .stack import ROOT, Stack, running

TASK = "acme.billing.make_invoice"
MODULE = '''"""Invoices of Acme."""

from typing import Annotated

from celery import shared_task
from marshmallow.validate import Range

from task_app.tasks import report_progress


@shared_task
def make_invoice(number: Annotated[int, Range(min=1)], title: str = "Invoice") -> dict[str, object]:
    """Make an invoice."""
    report_progress(1, 1, title)
    return {"number": number, "title": title}
'''


def install(site: Path, module: str = MODULE, *, entry_point: str | None = "acme.billing") -> Path:
    """Install the package of a user: its modules, and what pip writes about it."""
    (site / "acme").mkdir(parents=True)
    (site / "acme" / "__init__.py").touch()
    (site / "acme" / "billing.py").write_text(module)
    about = site / "acme_billing-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-billing\nVersion: 1.0\n")
    if entry_point:
        (about / "entry_points.txt").write_text(f"[task_app.tasks]\nbilling = {entry_point}\n")
    return site


def run(stack_environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module to its end."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=stack_environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A service beside an installed package with a task."""
    site = install(tmp_path / "site")
    with running(tmp_path, "sqlite", "embedded", PYTHONPATH=str(site), FLASK_APP="task_app") as stack:
        yield stack


def test_the_task_of_an_installed_package_is_like_ours(stack: Stack) -> None:
    stack.start_worker()
    with httpx.Client(base_url=stack.start_web(), headers={"Accept": "application/json"}, timeout=30) as client:
        types = {described["name"]: described for described in client.get("/task-types").json()}
        assert types[TASK]["summary"] == "Make an invoice."
        assert types[TASK]["schema"]["properties"]["number"]["minimum"] == 1

        refused = client.post(f"/tasks/{TASK}", json={"number": 0})
        assert (refused.status_code, list(refused.json()["errors"])) == (422, ["number"])
        accepted = client.post(f"/tasks/{TASK}", json={"number": 7})
        job = stack.until_ended(accepted.json()["task_id"])
        assert (job.task, job.state, job.result) == (TASK, "SUCCESS", {"number": 7, "title": "Invoice"})

        page = client.get(f"/new/{TASK}", headers={"Accept": "text/html"})
        form = HtmlForm(page.text)
        assert form.attributes["arg-number"]["min"] == "1"
        form.values["arg-number"] = "8"
        sent = client.post(f"/new/{TASK}", data=form.values.to_dict(), headers={"Accept": "text/html"})
        assert sent.status_code == 303
        job = stack.until_ended(sent.headers["location"].rpartition("/")[2])
        assert job.result == {"number": 8, "title": "Invoice"}

    by_hand = run(stack.environment, "flask", "jobs", "submit", TASK, "number=9", "--wait")
    assert (by_hand.returncode, by_hand.stdout) == (0, '{"number": 9, "title": "Invoice"}\n'), by_hand.stderr


COMMANDS = {
    "flask": ["flask", "jobs", "list"],
    "worker": ["celery", "-A", "make_celery", "worker"],
    "gunicorn": ["gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket", "task_app.wsgi:app"],
    "run": ["task_app.run"],
}


def environment(tmp_path: Path, site: Path, **more: str) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("FLASK_")}
    ours = {"FLASK_APP": "task_app", "FLASK_SKIP_DOTENV": "1", "FLASK_INSTANCE_PATH": str(tmp_path / "instance")}
    return inherited | ours | {"PYTHONPATH": str(site), "PORT": "0"} | more


@pytest.mark.parametrize("command", COMMANDS.values(), ids=list(COMMANDS))
def test_a_package_that_cannot_be_imported_stops_the_start_in_one_line(tmp_path: Path, command: list[str]) -> None:
    site = install(tmp_path / "site", "import no_such_library\n")
    ended = run(environment(tmp_path, site), *command)
    assert ended.returncode in (1, 4)
    line = (
        "Error: entry point task_app.tasks: billing of acme-billing: can't import acme.billing: "
        f"ModuleNotFoundError: No module named 'no_such_library' ({site}/acme/billing.py, line 1)"
    )
    assert [text for text in ended.stderr.splitlines() if text.startswith("Error: ")] == [line]
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        ("acme.billing,no_such", "can't import no_such: ModuleNotFoundError: No module named 'no_such'\n"),
        ("acme.billing,no-module", "must be names of modules; 'no-module' can't be one\n"),
    ],
)
def test_a_module_named_in_the_setting_that_is_not_there_stops_the_start(
    tmp_path: Path, modules: str, problem: str
) -> None:
    site = install(tmp_path / "site", entry_point=None)
    ended = run(environment(tmp_path, site, TASK_MODULES=modules), "flask", "jobs", "list")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"Error: TASK_MODULES: {problem}")
    assert len(ended.stderr.splitlines()) == 1


def test_a_module_that_ends_the_program_does_not_do_so_without_a_word(tmp_path: Path) -> None:
    for ending, shown in (("sys.exit(3)", "SystemExit: 3"), ("sys.exit()", "SystemExit")):
        site = install(tmp_path / ending / "site", f"import sys\n\n{ending}\n", entry_point=None)
        ended = run(environment(tmp_path, site, TASK_MODULES="acme.billing"), "flask", "jobs", "list")
        assert (ended.returncode, ended.stdout) == (1, "")
        where = f"({site}/acme/billing.py, line 3)"
        assert ended.stderr == f"Error: TASK_MODULES: can't import acme.billing: {shown} {where}\n"


def test_a_hint_that_no_form_can_show_is_named(tmp_path: Path) -> None:
    wrong = MODULE.replace("title: str = ", "title: bytes = b")
    ended = run(environment(tmp_path, install(tmp_path / "site", wrong)), "flask", "jobs", "list")
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Error: task {TASK}") and "parameter title" in ended.stderr


def test_two_tasks_of_one_name_are_named(tmp_path: Path) -> None:
    taken = MODULE.replace("@shared_task", '@shared_task(name="add")')
    ended = run(environment(tmp_path, install(tmp_path / "site", taken)), "flask", "jobs", "list")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: tasks: Task name 'add' is already registered to a different callable. ")
    assert "acme.billing.make_invoice" in line and "task_app.tasks.examples.add" in line


def test_a_module_may_be_named_in_the_setting(tmp_path: Path) -> None:
    site = install(tmp_path / "site", entry_point=None)
    look = (
        "from task_app import create_app;"
        "print([name for name in create_app().extensions['celery'].tasks if 'acme' in name])"
    )
    for value in ("acme.billing", '["acme.billing"]'):
        seen = subprocess.run(
            [sys.executable, "-c", look],
            cwd=ROOT,
            env=environment(tmp_path, site, FLASK_TASK_MODULES=value),
            capture_output=True,
            text=True,
            check=True,
        )
        assert seen.stdout == f"['{TASK}']\n"
