"""The browser, the service before it, and what the fixtures promise."""

import pytest
from playwright.sync_api import Browser, Page

from .conftest import page as page_fixture


def test_pages_are_served(page: Page, site: str) -> None:
    answer = page.goto(site)
    assert answer is not None and answer.ok
    assert page.title()


@pytest.mark.parametrize(
    "script", ["console.error('no')", "setTimeout(() => { throw new Error('no') })", "console.warn('hm')"]
)
def test_complaints_of_the_browser_fail_the_test(browser: Browser, script: str) -> None:
    fixture = page_fixture.__wrapped__(browser)  # type: ignore[attr-defined]
    page = next(fixture)
    page.goto("data:text/html,<p>a page")
    page.evaluate(script)
    page.wait_for_timeout(50)
    with pytest.raises(AssertionError, match=r"no|hm"):
        next(fixture)
