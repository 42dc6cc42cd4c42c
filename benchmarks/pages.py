"""`make bench-pages`: how long each page takes with a million jobs, in a browser; writes docs/dashboard-figures.md.

python -m benchmarks.pages                          # 1 million rows on SQLite and on PostgreSQL: half an hour
python -m benchmarks.pages --rows 50000 --rounds 5 --only sqlite
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from flask_migrate import upgrade
from playwright.sync_api import Browser, sync_playwright

from task_app import create_app
from tests.acceptance.stack import answers, free_port, until
from tests.browser.conftest import chromium
from tests.chaos.servers import server

from . import month, report
from .contestants import ROOT

PAGE = ROOT / "docs" / "dashboard-figures.md"
#: What the browser says: when the server began to answer, when something was on the screen, and the bytes of it all.
TIMES = """() => {
  const [page] = performance.getEntriesByType("navigation");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const loaded = [page, ...performance.getEntriesByType("resource")];
  return paint && page.responseEnd ? [page.responseStart - page.requestStart, paint.startTime,
    loaded.reduce((sum, one) => sum + one.transferSize, 0)] : null;
}"""


HEAD = """# How long pages take

Made by `make bench-pages` on {date}: {rows:,} jobs of {days} days, {cores} cores, Python {python}, one gunicorn with 32
threads, and a Chromium that has never been there, so nothing is in its cache. Medians of {rounds} looks, and
the 95th percentile in brackets, in milliseconds. *Server*: until the answer begins. *Paint*: from the click until
something is on the screen. *Weight*: of the page and all its files, uncompressed."""


class Sample(NamedTuple):
    """What one look at a page took (ms), and how heavy it was (bytes)."""

    server: float
    paint: float
    weight: float


# -- looking ----------------------------------------------------------------------------------------------------------


def pages(ids: Mapping[str, str], cursor: str) -> dict[str, str]:
    """Return the address of each page by its name."""
    return {
        "Overview": "/",
        "Overview, 7 days": "/?window=7d",
        "Overview, 30 days": "/?window=30d",
        "Jobs": "/jobs",
        "Jobs, 20 pages further": f"/jobs?cursor={cursor}",
        "Jobs of a task": "/jobs?task=reports.task_7",
        "Jobs of a state": "/jobs?status=FAILURE",
        "Jobs of a worker": "/jobs?worker=w3@host",
        "Jobs with a tag": "/jobs?tag=monthly",
        "Jobs with an error": "/jobs?error=KeyError",
        "Jobs by task, queue and error": "/jobs?task=reports.task_7&queue=queue-1&error=KeyError",
        "Jobs by filters that never meet": "/jobs?task=reports.task_7&queue=nobody",
        "Jobs by an argument": "/jobs?argument=kwargs.customer%3D1",
        "Job that succeeded": f"/jobs/{ids['SUCCESS']}",
        "Job that failed": f"/jobs/{ids['FAILURE']}",
        "Job that runs": f"/jobs/{ids['STARTED']}",
        "Job that waits": f"/jobs/{ids['PENDING']}",
        "New job": "/new",
        "Form of a job": "/new/send_email",
        "Failures": "/failures",
        "Failures, last hour": "/failures?window=hour",
        "Failures, all": "/failures?window=all",
        "Queues": "/queues",
        "Workers": "/workers",
        "Keys": "/keys",
    }


def look(browser: Browser, url: str) -> Sample:
    """Open a page in a browser that has never been there, and wait until something is on the screen."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    answer = page.goto(url)
    if answer is None or not answer.ok:
        raise RuntimeError(f"{url} answered {answer and answer.status}")
    sample = Sample(*until(lambda: page.evaluate(TIMES), "something on the screen"))
    context.close()
    return sample


def _older(browser: Browser, site: str, steps: int) -> str:
    """Go so many pages back; return the cursor of that page."""
    page = browser.new_page()
    page.goto(f"{site}/jobs")
    for _ in range(steps):
        page.click("[data-next]")
        page.wait_for_load_state()
    found = re.search(r"cursor=([^&]+)", page.url)
    page.close()
    return quote(found[1]) if found else ""


@contextmanager
def serving(folder: Path, url: str) -> Iterator[str]:
    """Run the web server as the documentation says; yields its address."""
    port = free_port()
    variables = {
        "FLASK_INSTANCE_PATH": str(folder),
        "FLASK_SKIP_DOTENV": "1",
        "FLASK_SECRET_KEY": "benchmark",
        "FLASK_AUTH": "off",
        "DATABASE_URL": url,
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",  # nothing is published
        "PATH": "/usr/bin:/bin",
    }
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "32", "task_app.wsgi:app"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: answers(port), "the web server")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def filled(kind: str, rows: int) -> Iterator[tuple[Path, str, dict[str, str]]]:
    """Yield the folder and URL of a database with a past, and jobs to look at."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "sqlite":
            yield folder, f"sqlite:///{folder}/task_app.db", _prepare(folder, f"sqlite:///{folder}/task_app.db", rows)
        else:
            with server(kind) as sql:
                yield folder, sql.url, _prepare(folder, sql.url, rows)


def _prepare(folder: Path, url: str, rows: int) -> dict[str, str]:
    app = create_app(
        {
            "INSTANCE_PATH": str(folder),
            "SECRET_KEY": "benchmark",
            "SQLALCHEMY_DATABASE_URI": url,
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        }
    )
    with app.app_context():
        upgrade()
    return month.fill(app, rows)


def measure(kind: str, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return what each page took on a kind of database."""
    with filled(kind, rows) as (folder, url, ids), serving(folder, url) as site, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        places = pages(ids, _older(browser, site, 20))
        samples: dict[str, list[Sample]] = {name: [] for name in places}
        for turn in range(rounds + 1):
            for name, path in places.items():
                sample = look(browser, site + path)
                if turn:  # the first round warms up
                    samples[name].append(sample)
        browser.close()
    found = {name: _summary(taken) for name, taken in samples.items()}
    for name, one in found.items():
        print(f"  {kind}, {name}: {one}", flush=True)
    return found


def _summary(samples: list[Sample]) -> dict[str, float]:
    found: dict[str, float] = {"weight": max(one.weight for one in samples)}
    for what in ("server", "paint"):
        ordered = sorted(getattr(one, what) for one in samples)
        found |= {f"{what}_p50": statistics.median(ordered), f"{what}_p95": ordered[int(len(ordered) * 0.95)]}
    return found


# -- telling ----------------------------------------------------------------------------------------------------------


def write(figures: Mapping[str, Mapping[str, Mapping[str, float]]], rows: int, rounds: int) -> None:
    """Write the page of figures."""
    lines = [HEAD.format(rows=rows, days=month.DAYS, **report.about(rounds))]
    for kind, found in figures.items():
        lines += ["", f"## {kind}", "", "| page | server | paint | weight |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {one['server_p50']:.0f} ({one['server_p95']:.0f}) | {one['paint_p50']:.0f}"
            f" ({one['paint_p95']:.0f}) | {one['weight'] / 1000:.0f} KB |"
            for name, one in found.items()
        ]
    PAGE.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", choices=("sqlite", "postgresql"), action="append")
    options = parser.parse_args()
    if chromium() is None:
        parser.error("there is no chromium; install it, or say where it is with CHROMIUM=/path/to/it")
    kinds = options.only or ["sqlite", "postgresql"]
    write({kind: measure(kind, options.rows, options.rounds) for kind in kinds}, options.rows, options.rounds)
    print(f"written to {PAGE}")


if __name__ == "__main__":
    main()
