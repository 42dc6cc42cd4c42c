"""A real browser before a real service. Without chromium these tests skip; with CI=true they fail."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from ..acceptance.stack import Stack, running

HERE = Path(__file__).parent
#: The names under which chromium is installed; CHROMIUM wins.
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
#: Milliseconds; generous, because only a failing test waits this long.
PATIENCE = 60_000
#: What a browser says of every answer that is no success. Tests look at answers themselves.
EXPECTED = "Failed to load resource: "

expect.set_options(timeout=PATIENCE)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of a module together when tests run in several processes: each would start a service anew."""
    for item in items:
        if item.path.parent != HERE:
            continue
        item.add_marker(pytest.mark.xdist_group("browser"))


def chromium() -> str | None:
    """Return the path of the browser, or None."""
    chosen = os.environ.get("CHROMIUM")
    return shutil.which(chosen) if chosen else next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless chromium, one for all tests."""
    path = chromium()
    if path is None:
        missing = "there is no chromium; install it, or say where it is with CHROMIUM=/path/to/it"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own; the test fails if the browser complains of a script or of the Content-Security-Policy."""
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            complaints.append(f"{message.type}: {message.text}")

    context = browser.new_context(viewport={"width": 1280, "height": 900}, timezone_id="Europe/Vienna", locale="en-GB")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(f"page error: {error}"))
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A page in a browser that runs no scripts."""
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service on embedded parts with one worker, for all tests here that bring none of their own."""
    with running(tmp_path_factory.mktemp("site"), "sqlite", "embedded") as stack:
        stack.start_worker()
        yield stack


@pytest.fixture(scope="package")
def site(stack: Stack) -> str:
    """The address of its pages."""
    return stack.start_web()
