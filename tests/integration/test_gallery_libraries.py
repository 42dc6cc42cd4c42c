"""What the service does with the libraries of the gallery: it does without them, and imports none before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

from .test_gallery import ROOT, tasks_without

PUBLIC = {"analyze_csv", "make_report", "nightly_report", "predict", "resize_image", "train_model"}


def test_with_all_libraries_all_tasks_are_there(tmp_path: Path) -> None:
    names, problems = tasks_without("none_at_all", tmp_path)
    assert names >= PUBLIC
    assert "prune" not in names
    assert problems == ""


@pytest.mark.parametrize(
    ("library", "gone"),
    [
        ("polars", {"analyze_csv", "nightly_report"}),
        ("fpdf", {"make_report", "nightly_report"}),
        ("matplotlib", {"make_report", "nightly_report"}),
        ("PIL", {"make_report", "nightly_report", "resize_image"}),
        ("sklearn", {"train_model", "predict"}),
        ("skops", {"train_model", "predict"}),
        ("httpx", {"analyze_csv", "nightly_report"}),
    ],
)
def test_without_its_library_a_task_is_not_there_and_the_others_are(
    tmp_path: Path, library: str, gone: set[str]
) -> None:
    names, problems = tasks_without(library, tmp_path)
    assert PUBLIC - names == gone
    assert "add" in names
    assert problems == ""


def test_a_nightly_report_that_nobody_can_make_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_NIGHTLY_REPORT_TO", "ada@example.com")
    names, problems = tasks_without("fpdf", tmp_path)
    assert names == set()
    assert "NIGHTLY_REPORT_TO: needs the extra gallery" in problems


def test_no_library_is_imported_before_a_task_runs(tmp_path: Path) -> None:
    """Some start threads, and a worker forks."""
    program = """
import sys
from task_app import create_app
create_app({"INSTANCE_PATH": sys.argv[1], "AUTH": "off", "SECRET_KEY": "x"})
print(*sorted({"PIL", "fpdf", "matplotlib", "numpy", "polars", "sklearn", "skops"}.intersection(sys.modules)))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
