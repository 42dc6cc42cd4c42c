"""The documentation says what the code says: settings, routes, states, reasons for waiting; links lead somewhere."""

import re
from pathlib import Path

import pytest
from flask import Flask

from task_app.config import SETTINGS, Setting
from task_app.jobs.reasons import Cause
from task_app.jobs.states import State, WaitReason

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def row(setting: Setting) -> str:
    """Return the line of docs/configuration.md that documents a setting."""
    default = "–" if setting.default is None else f"`{setting.default}`"
    help_text = setting.help.replace("<", "&lt;").replace(">", "&gt;")
    names = ", ".join(f"`{name}`" for name in setting.env) or "–"
    return f"| `{setting.name}` | {default} | {setting.kind} | {help_text} | {names} |"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_setting_is_documented() -> None:
    documented = [line for line in text_of("docs/configuration.md").splitlines() if re.match(r"\| `[A-Z_]+` \|", line)]
    assert documented == [row(setting) for setting in SETTINGS]


def test_every_route_is_documented(app: Flask) -> None:
    text = text_of("docs/api.md")
    routes = {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.startswith(("static", "docs.", "openapi.", "dashboard."))
    }
    assert {route for route in routes if f"`{route}`" not in text} == set()


def test_every_state_and_reason_is_in_the_glossary() -> None:
    text = text_of("docs/glossary.md")
    assert [word for word in [*State, *WaitReason, *Cause] if f"\n| {word} |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert [t for t in targets if not t.startswith("http") and not (page.parent / t).exists()] == []
