"""What holds for every page: nobody is kept out, it is light, it stays on this machine, and it fits a phone."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Response, ViewportSize, expect

from task_app.jobs import faults, transitions
from task_app.jobs.runtime import runtime

from ..acceptance.stack import Stack, running
from ..factories import job_row
from .scenes import fill
from .screenshots import addresses, pages

#: Bytes of a page with all that it loads, as they are: a server in front that compresses sends less.
HEAVIEST = 150_000
PHONE = ViewportSize(width=360, height=780)
NAMES = sorted(pages(dict.fromkeys(("running", "retried", "failed", "unheard", "later", "succeeded"), "")))
#: Ids are found by scripts and labels, so they must be one of a kind.
TWICE = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return ids.filter((id, at) => ids.indexOf(id) !== at);
}"""
#: What is wider than the page, but for what scrolls by itself.
WIDE = """() => document.scrollingElement.scrollWidth <= window.innerWidth ? [] :
  [...document.querySelectorAll("body *")].filter((element) =>
    element.getBoundingClientRect().right > window.innerWidth + 0.5 && !element.closest(".scroll, .code, nav"))
    .map((element) => element.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service of its own, because every number on a page would be moved by other tests."""
    with running(tmp_path_factory.mktemp("full"), "sqlite", "embedded") as stack:
        stack.start_worker()
        yield stack


@pytest.fixture(scope="module")
def places(stack: Stack) -> dict[str, str]:
    """The address of each page by its name, once the jobs shown are what their names say."""
    ids = fill(stack)
    stack.until_ended(ids["succeeded"])
    stack.until_ended(ids["failed"])
    stack.until_state(ids["running"], "PROGRESS")
    return addresses(stack, ids)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_light_for_everybody_and_fits(places: dict[str, str], page: Page, name: str) -> None:
    loaded = weigh(page, places[name])
    assert {urlsplit(url).hostname for url in loaded} <= {"127.0.0.1", None}, loaded
    assert sum(loaded.values()) <= HEAVIEST, heaviest_first(loaded)
    assert page.evaluate(TWICE) == []
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    wrong = violations(page, "light, desktop")
    page.emulate_media(color_scheme="dark")
    wrong += violations(page, "dark, desktop", "color-contrast")
    page.set_viewport_size(PHONE)
    wrong += violations(page, "dark, phone")
    assert not wrong, "\n\n".join(wrong)
    page.reload()
    assert page.evaluate(WIDE) == []
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
    for table in page.locator("table.cards").all():
        assert table.evaluate("table => getComputedStyle(table.querySelector('thead')).position") == "absolute"


def weigh(page: Page, url: str) -> dict[str, int]:
    """Open a page; return the bytes of all that it loads, by address."""
    answers: list[Response] = []

    def note(answer: Response) -> None:
        answers.append(answer)

    page.on("response", note)
    page.goto(url, wait_until="load")
    return {answer.url: len(answer.body()) for answer in answers if "/live/" not in answer.url}


def heaviest_first(loaded: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(loaded.items(), key=lambda item: -item[1])


def violations(page: Page, where: str, *rules: str) -> list[str]:
    """Return what axe finds that is serious: the rule, the element, what to do. Of long lists it sees the beginning."""
    only = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    shown = {"exclude": [["tbody tr:nth-child(n + 16)"]]}
    found = Axe().run(page, shown, {"resultTypes": ["violations"], **only}).response["violations"]
    return [
        f"{where}: {each['id']}\n{node['html']}\n{node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.fixture(scope="module")
def crowded(stack: Stack, places: dict[str, str]) -> str:
    """The address of the service, now with long names and texts, many kinds of failures and many queues."""
    now = datetime.now(UTC)
    error = json.dumps(faults.fault("E", "builtins", [], "said at length " * 20, "Traceback\n" * 50))
    rows = [
        job_row(
            task=f"some.package.of.ours.reports.task_{number % 60}",
            queue=f"reports-of-tenant-{number % 30}",
            args=json.dumps(["long " * 200]),
            state="FAILURE",
            error=error,
            error_type=f"SomethingWentWrong{number % 4}Error",
            worker=f"reports-{number}@host-with-a-long-name.example.org",
            created_at=now,
            started_at=now,
            finished_at=now,
            dispatch_at=None,
        )
        for number in range(240)
    ]
    with stack.app.app_context(), runtime().engine.connect() as connection:
        transitions.insert_jobs(connection, rows)
        transitions.insert_jobs(connection, [job_row(queue=row["queue"], dispatch_at=None) for row in rows[:30]])
    return places["overview"].rstrip("/")


@pytest.mark.parametrize("path", ["/", "/jobs", "/failures", "/queues", "/workers"])
def test_it_is_light_with_much_to_show(crowded: str, page: Page, path: str) -> None:
    loaded = weigh(page, crowded + path)
    assert sum(loaded.values()) <= HEAVIEST, heaviest_first(loaded)


def test_the_kinds_of_failures_have_pages(crowded: str, page: Page) -> None:
    page.goto(f"{crowded}/failures")
    rows = page.locator("#groups tr[data-row]")
    expect(rows).to_have_count(30)
    expect(page.get_by_role("navigation", name="Pages of the list")).to_contain_text(
        re.compile(r"1 to 30 of \d+ kinds")
    )
    first = rows.first.get_attribute("data-row")
    page.get_by_role("link", name="Smaller").click()
    expect(page).to_have_url(f"{crowded}/failures?skip=30")
    expect(rows).to_have_count(30)
    page.get_by_role("link", name="Largest").click()
    expect(rows.first).to_have_attribute("data-row", first or "")
