"""docs/promises.md: every promise names tests, and every test that it names exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE)
    assert [f"{file}::{test}" for file, test in named if not (ROOT / file).exists() or test not in names_in(file)] == []


def test_every_promise_names_a_test() -> None:
    promises = re.findall(r"^## (\d+)\. .*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert promises == [str(number) for number in range(1, 16)]
    for text in re.split(r"^## \d+\. ", PAGE, flags=re.MULTILINE)[1:]:
        assert NAMED.search(text.partition("\n## ")[0]), f"no test is named for: {text.splitlines()[0]}"
