"""The page of a report holds every run once, whatever stands around it."""

import json
from collections import Counter
from pathlib import Path

from . import report
from .invariants import Violation
from .run import Outcome


def outcome(seed: int = 1, **more: object) -> Outcome:
    standard: dict[str, object] = {
        "pair": "sqlite+embedded",
        "seed": seed,
        "jobs": 200,
        "accepted": 199,
        "took": 30.0,
        "settled_in": 1.0,
        "faults": Counter({"kill -9 web": 2}),
        "outcomes": {"short": Counter({"SUCCESS": 3, "REVOKED": 1})},
        "recoveries": {"kill -9 web": [1.0, 3.0]},
        "slow": [],
        "counters": {"lost attempts": 4, "dropped": 5, "late writes": 1},
    }
    return Outcome(**{**standard, **more})  # type: ignore[arg-type]


def test_a_page_keeps_its_text_and_each_run_once(tmp_path: Path) -> None:
    page = tmp_path / "promises.md"
    page.write_text(f"# Promises\n\n{report.BEGIN}\nold\n{report.END}\n\nMore.\n")
    report.add(page, outcome())
    report.add(page, outcome(2))
    report.add(page, outcome(1, violations=[Violation("results_are_right", "a", "returned 8")]))
    text = page.read_text()
    assert text.startswith("# Promises\n\n") and text.endswith(f"{report.END}\n\nMore.\n") and "old" not in text
    assert text.count("| sqlite+embedded |") == 2
    assert "| sqlite+embedded | 1 | 200 | 2 | 4 | 5 | 1 | 1 |" in text
    assert "| kill -9 web | 4 | 2.0 s | 3.0 s |" in text
    assert "| short | 6 | 0 | 2 |" in text
    assert [run["seed"] for run in json.loads(page.with_suffix(".json").read_text())] == [2, 1]


def test_a_new_page_is_made(tmp_path: Path) -> None:
    report.add(tmp_path / "new.md", outcome())
    assert (tmp_path / "new.md").read_text().startswith(report.BEGIN)
