"""Runs a page of docs/howto as it stands there, in a project of its own.

What becomes of a block follows from its language:

| `sh` | bash runs it in the project's folder; what it exports, later blocks have too |
| `python` | Python runs it there |
| anything else, or none | a mistake, unless a directive says what to do with it |

A directive is an HTML comment on the line before:

| `<!-- file: name -->` | the block is this file of the project |
| `<!-- test -->` | pytest runs the block, with `task_app.testing` |
| `<!-- output -->` | the block before has printed this; `…` stands for anything |
| `<!-- fails -->` | the block is run and ends with an error |
| `<!-- not run: why -->` | the block is left out |

The line `make run` starts the service on what the project is by then, and anew if it runs already. It installs nothing,
because everything is there. `http://127.0.0.1:5000` becomes the address where this service listens.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from task_app import embedded

from .stack import ROOT, free_port, until

BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"<!-- (?:(file|not run): (\S.*)|(test|output|fails)) -->")
ADDRESS = "http://127.0.0.1:5000"
TIMEOUT = 120
NOT_OURS = ("FLASK_", "CELERY_", "PYTEST_", "PYTHON", "PIP_", "DATABASE_", "TASK_")
MAKE_RUN = re.compile(r"^make (?:-C \S+ )?run\b.*$", re.MULTILINE)


class Mistake(Exception):
    """Something in the page is not as it says."""


class Block(NamedTuple):
    """A fenced block of a page, and what is to be done with it."""

    line: int
    language: str
    text: str
    directive: str
    value: str


def blocks_of(page: str) -> Iterator[Block]:
    """Find all fenced blocks. Raises Mistake where a fence or a directive is broken."""
    rest = page
    for found in BLOCK.finditer(page):
        rest = rest.replace(found[0], "", 1)
        line = page.count("\n", 0, found.start()) + 1
        before = page[: found.start()].rstrip().rpartition("\n")[2].strip()
        directive = DIRECTIVE.fullmatch(before)
        if before.startswith("<!--") and directive is None:
            raise Mistake(f"line {line}: what does {before} mean?")
        name, value = (directive[1] or directive[3], directive[2] or "") if directive else ("", "")
        text = "".join(row.removeprefix(found["indent"]) for row in found["text"].splitlines(keepends=True))
        yield Block(line, found["language"], text, name, value)
    if "```" in rest:
        raise Mistake("a fence is open, or not closed where it began")


class Project:
    """The folder and the environment that the blocks of a page are run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"http://127.0.0.1:{free_port()}"
        self.output: str | None = None
        self.service: subprocess.Popen[bytes] | None = None
        self.tests = 0
        self.site = folder / "site"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(NOT_OURS)},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "1",  # files change within a second
            "FLASK_INSTANCE_PATH": str(folder / "instance"),
            "FLASK_SKIP_DOTENV": "1",
            "HOST": "127.0.0.1",
            "PORT": self.address.rpartition(":")[2],
            # This package isn't installed but beside; of the tests of users it is a part by its entry point.
            "PYTEST_ADDOPTS": "-p task_app.testing -p no:valkey -p no:cacheprovider -W error",
            # Whatever is installed is in the project, and comes from nowhere else.
            "PIP_TARGET": str(self.site),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: there is none
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def perform(self, block: Block) -> None:
        """Do what a block is for. Raises Mistake."""
        match block.directive, block.language:
            case "not run", _:
                pass
            case "file", _:
                self.write(block)
            case "output", _:
                self.compare(block)
            case "test", "python":
                self.tests += 1
                file = self.folder / f"test_{self.tests}.py"
                file.write_text(self.here(block.text))
                self.run(block, [sys.executable, "-m", "pytest", "-q", "-x", file.name])
            case (("" | "fails"), "sh"):
                self.shell(block)
            case (("" | "fails"), "python"):
                file = self.folder / "block.py"
                file.write_text(self.here(block.text))
                self.run(block, [sys.executable, "-W", "error", file.name])
            case _:
                raise Mistake(
                    f"line {block.line}: this {block.language or 'block'} is not run; say with a directive why"
                )

    def write(self, block: Block) -> None:
        """Write a file of the project."""
        file = self.folder / block.value
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.here(block.text))
        if file.suffix == ".py":
            compile(block.text, block.value, "exec")

    def shell(self, block: Block) -> None:
        """Run the lines before and after `make run`, and start the service between."""
        for number, part in enumerate(MAKE_RUN.split(block.text)):
            if number:
                self.start()
            kept = self.folder / ".environment"
            script = f'{self.here(part)}\nenv -0 > "{kept}"'
            self.run(block, ["bash", "-euo", "pipefail", "-c", script])
            if kept.exists():
                lines = kept.read_bytes().decode().rstrip("\0").split("\0")
                self.environment = dict(line.split("=", 1) for line in lines)
                kept.unlink()

    def run(self, block: Block, command: list[str]) -> None:
        """Run a command; keep what it prints."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.everything(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.output = done.stdout.replace(self.address, ADDRESS).replace(str(self.folder), "/home/me/project")
        if (done.returncode != 0) != (block.directive == "fails"):
            raise Mistake(f"line {block.line}: exit status {done.returncode}\n{self.output}\n{self.log()}")

    def compare(self, block: Block) -> None:
        """Compare what was printed with what the page shows."""
        shown = "(?s:.*)".join(re.escape(piece) for piece in block.text.strip().split("…"))
        if self.output is None or not re.fullmatch(shown, self.output.strip()):
            raise Mistake(f"line {block.line}: not what was printed, which is\n{self.output}\n{self.log()}")

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        self.stop()
        log = self.folder / "service.log"
        with log.open("wb") as output:
            self.service = process = subprocess.Popen(
                [sys.executable, "-m", "task_app.run"],
                cwd=self.folder,
                env=self.everything(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        until(lambda: process.poll() is not None or "task_app is ready" in log.read_text(), "the service")
        if process.poll() is not None:
            raise Mistake(f"the service has ended:\n{self.log()}")

    def stop(self) -> None:
        """Stop the service, if it runs."""
        if self.service is not None:
            self.service.send_signal(signal.SIGTERM)
            self.service.wait(60)
            self.service = None

    def close(self) -> None:
        """Leave nothing running."""
        self.stop()
        embedded.stop(str(self.folder / "instance"))

    def here(self, text: str) -> str:
        """Name the address where this project's service listens."""
        return text.replace(ADDRESS, self.address)

    def everything(self) -> dict[str, str]:
        """Return the environment, whatever a page has made of it, with what is installed and this checkout."""
        path = [self.environment.get("PYTHONPATH", ""), str(self.site), str(ROOT)]
        return {**self.environment, "PYTHONPATH": ":".join(filter(None, path))}

    def log(self) -> str:
        """Return what the service has printed."""
        log = self.folder / "service.log"
        return log.read_text(errors="replace")[-1000:] if log.exists() else ""


@contextmanager
def project(folder: Path) -> Iterator[Project]:
    """Yield an empty project; end what it has started."""
    made = Project(folder)
    try:
        yield made
    finally:
        made.close()


def run_page(page: str, folder: Path) -> Project:
    """Run all blocks of a page. Raises Mistake for the first that isn't as it says."""
    blocks = list(blocks_of(page))
    with project(folder) as made:
        for block in blocks:
            made.perform(block)
        return made
