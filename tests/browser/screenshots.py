"""Pictures of every page, light and dark, for a desk and a phone: `make screenshots`."""

import argparse
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize, sync_playwright

from task_app.jobs import figures
from task_app.jobs.runtime import utcnow

from ..acceptance.stack import Stack, until
from .conftest import chromium
from .scenes import PAST_JOBS, fill

SIZES = {"desktop": ViewportSize(width=1280, height=900), "phone": ViewportSize(width=390, height=844)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def pages(ids: dict[str, str]) -> dict[str, str]:
    """Return the path of each page by the name of its picture."""
    return {
        "overview": "/",
        "jobs": "/jobs",
        "jobs-filtered": "/jobs?status=FAILURE&task=process",
        **{f"job-{name}": f"/jobs/{job_id}" for name, job_id in ids.items()},
        "new": "/new",
        "new-task": "/new/process",
        "edit": f"/jobs/{ids['failed']}/edit",
        "failures": "/failures",
        "queues": "/queues",
        "workers": "/workers",
        "keys": "/keys",
        "sign-in": "/sign-in",
        "not-found": "/jobs/nothing-here",
    }


def addresses(stack: Stack, ids: dict[str, str]) -> dict[str, str]:
    """Start the service, open and closed (else nobody would see the page to sign in); return where each page is."""
    site, closed = stack.start_web(), stack.start_web(FLASK_AUTH="required")
    return {name: (closed if name == "sign-in" else site) + path for name, path in pages(ids).items()}


def _is_counted(stack: Stack) -> bool:
    now = utcnow()
    with stack.app.app_context():
        return figures.series(start=now - timedelta(hours=1), end=now).total.jobs > PAST_JOBS / 2


def take(stack: Stack, folder: Path, only: str | None) -> None:
    """Write the pictures into a folder."""
    path = chromium()
    if path is None:
        sys.exit("There is no chromium; install it, or say where it is with CHROMIUM=/path/to/it")
    ids = fill(stack)  # before a worker counts what has ended: it would take the past for counted
    stack.start_worker(name="main", concurrency=4)
    places = addresses(stack, ids)
    stack.until_ended(ids["succeeded"])
    stack.until_ended(ids["failed"])
    stack.until_state(ids["running"], "PROGRESS")
    until(lambda: (stack.job(ids["running"]).progress["percent"] or 0) > 3, "some progress")
    until(lambda: _is_counted(stack), "the roller")
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for scheme in SCHEMES:
            for size, viewport in SIZES.items():
                context = browser.new_context(
                    viewport=viewport,
                    color_scheme=scheme,
                    timezone_id="Europe/Vienna",
                    locale="en-GB",
                )
                page = context.new_page()
                for name, place in places.items():
                    if only and only not in name:
                        continue
                    page.goto(place)
                    page.wait_for_timeout(400)
                    page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
                context.close()
        browser.close()


def main() -> None:
    """Start a service with a past, and look at it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("screenshots"))
    parser.add_argument("--only", help="pages whose name holds this")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), f"sqlite:///{folder}/task_app.db", None, "celery", FLASK_AUTH="off")
        try:
            take(stack, chosen.folder.absolute(), chosen.only)
        finally:
            stack.close()


if __name__ == "__main__":
    main()
