"""docs/promises.md: every section names tests, and whatever looks like the name of a test is one."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
SECTIONS: dict[str, str] = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
PROMISES = {title: text for title, text in SECTIONS.items() if title != "What is not promised"}
NUMBERED = {title: text for title, text in PROMISES.items() if title != "All at once"}
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def names_in(file: str) -> set[str]:
    if not (ROOT / file).exists():
        return set()
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_promises_are_numbered() -> None:
    assert [title.partition(". ")[0] for title in NUMBERED] == [str(n) for n in range(1, len(NUMBERED) + 1)]
    assert len(PROMISES) == len(NUMBERED) + 1


def test_every_promise_names_tests() -> None:
    assert [title for title, text in PROMISES.items() if not NAMED.search(_shown_by(text))] == []


def test_every_numbered_promise_is_shown_with_real_processes() -> None:
    assert [title for title, text in NUMBERED.items() if "`tests/acceptance/" not in _shown_by(text)] == []


def test_every_named_test_exists() -> None:
    # Whatever mentions the tests at all: one that is not quite written as a name must not go unnoticed.
    mentioned = re.findall(r"`[^`]*(?:tests/|test_|::)[^`]*`", PAGE)
    assert mentioned
    assert [name for name in mentioned if not _exists(name)] == []


def test_no_promise_names_a_test_twice() -> None:
    for title, text in PROMISES.items():
        named = NAMED.findall(text)
        assert len(named) == len(set(named)), title


def test_what_is_not_promised_comes_last() -> None:
    for title, text in NUMBERED.items():
        assert not NAMED.search(text.partition("\nNot promised: ")[2]), title


def _shown_by(text: str) -> str:
    """Return the list of tests in a section; the one about chaos introduces its own in other words."""
    return text.partition("\nShown by ")[2] or text.partition("In short form:")[2]


def _exists(name: str) -> bool:
    found = NAMED.fullmatch(name)
    return found is not None and found[2] in names_in(found[1])
