"""docs/howto, run as it stands there."""

import shutil
from pathlib import Path

import pytest

from .howto import Mistake, run_page
from .stack import ROOT

PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_block_of_the_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    run_page(page.read_text(encoding="utf-8"), tmp_path)


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "howto" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in index] == []


def block(text: str, language: str = "", directive: str = "") -> str:
    return f"{directive}\n```{language}\n{text}\n```\n"


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (block("a = 1", "toml"), "line 2: this toml is not run; say with a directive why"),
        (block("text"), "this block is not run"),
        (block("assert False", "python"), "exit status 1\n(?s:.*)AssertionError"),
        (block("exit 3", "sh"), "exit status 3"),
        (block("false | true", "sh"), "exit status 1"),
        (block("true", "sh", "<!-- fails -->"), "exit status 0"),
        (block("def test_it(): assert False", "python", "<!-- test -->"), "exit status 1"),
        (block("a = 1", "python", "<!-- test -->"), "exit status 5"),
        (block("a =", "python", "<!-- file: a.py -->"), "invalid syntax"),
        (block("a = 1", "python", "<!-- skip -->"), "what does <!-- skip --> mean?"),
        (block("a = 1", "toml", "<!-- not run: -->"), "what does <!-- not run: --> mean?"),
        (block("text", "", "<!-- output -->"), "not what was printed"),
        (block("echo one", "sh") + block("two", "", "<!-- output -->"), "not what was printed, which is\none"),
        (block("echo one; echo two", "sh") + block("one", "", "<!-- output -->"), "not what was printed"),
        ("```sh\nexit 1\n", "a fence is open"),
    ],
)
def test_a_page_that_is_not_as_it_says_is_noticed(tmp_path: Path, page: str, problem: str) -> None:
    with pytest.raises((Mistake, SyntaxError), match=problem):
        run_page(page, tmp_path)


def test_blocks_see_what_those_before_have_done(tmp_path: Path) -> None:
    code = "import greetings, os\n   print(os.environ['GREETING'], greetings.greet())"
    page = (
        block("export GREETING=hello; cd /tmp", "sh")
        + block("def greet(): return 'hi'", "python", "<!-- file: greetings/__init__.py -->")
        + f"1. in a list\n\n   ```python\n   {code}\n   ```\n"
        + block("hel… hi", "", "<!-- output -->")
        + block("import greetings\ndef test_it(jobs): assert not jobs.enqueued()", "python", "<!-- test -->")
        + block("exit 1", "sh", "<!-- not run: it would fail -->")
        + block("exit 1", "sh", "<!-- fails -->")
    )
    assert run_page(page, tmp_path).tests == 1
