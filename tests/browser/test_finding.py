"""Finding jobs: filters and places are in the address, the keyboard does everything, and the way back is the way."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from task_app.jobs import transitions
from task_app.jobs.runtime import runtime

from ..acceptance.stack import Stack
from ..factories import job_row

TASK, TAG = "report.tango", "finding"
ROWS = 120
LENGTH = 50  # of a page


@pytest.fixture(scope="module")
def site(stack: Stack, site: str) -> str:
    """The service, with jobs that ended long ago: nothing moves."""
    ended = datetime.now(UTC) - timedelta(days=3)
    rows = [
        job_row(
            task=TASK if number % 20 else "report.foxtrot",
            args=f"[{number}]",
            state="SUCCESS",
            result="1",
            tags=f'["{TAG}"]',
            created_at=ended + timedelta(seconds=number),
            started_at=ended + timedelta(seconds=number),
            finished_at=ended + timedelta(seconds=number + 1),
            dispatch_at=None,
            worker="w1@host",
            attempt=1,
        )
        for number in range(ROWS)
    ]
    with stack.app.app_context(), runtime().engine.connect() as connection:
        transitions.insert_jobs(connection, rows)
    return site


def filter_box(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Add a filter")


def suggestions(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Suggestions").get_by_role("option")


def rows_of(page: Page) -> list[str]:
    found: list[str] = page.locator("tr[data-row]").evaluate_all("rows => rows.map(row => row.dataset.row)")
    return found


def test_a_filter_is_typed_and_the_way_back_is_exact(site: str, page: Page) -> None:
    page.goto(f"{site}/jobs")
    page.keyboard.press("/")
    box = filter_box(page)
    expect(box).to_be_focused()
    page.keyboard.type("ta")
    options = suggestions(page)
    expect(options.first).to_contain_text("task")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(box).to_have_value("task:")
    page.keyboard.type("report.")
    expect(options).to_have_text(["report.foxtrot", "report.tango", re.compile("exactly")])
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "filter-option-1")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site}/jobs?task={TASK}")
    chip = page.get_by_role("group", name="Filters").get_by_role("link")
    expect(chip).to_contain_text(f"task: {TASK}")

    newest = rows_of(page)
    assert len(newest) == LENGTH
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile(rf"task={TASK}&cursor="))
    older, address = rows_of(page), page.url
    assert len(older) == LENGTH and not set(newest) & set(older)
    page.go_back()
    expect(page).to_have_url(f"{site}/jobs?task={TASK}")
    assert rows_of(page) == newest
    page.go_forward()
    expect(page).to_have_url(address)
    assert rows_of(page) == older
    page.reload()
    assert rows_of(page) == older and page.url == address
    chip.click()
    expect(page).to_have_url(f"{site}/jobs")
    expect(chip).to_have_count(0)
    expect(box).to_have_value("")


def test_two_filters_stand_beside_each_other(site: str, page: Page) -> None:
    page.goto(f"{site}/jobs?tag={TAG}")
    filter_box(page).click()
    page.keyboard.type("task:report.fox")
    expect(suggestions(page).first).to_have_text("report.foxtrot")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"tag={TAG}&task=report.foxtrot$"))
    expect(page.locator("tr[data-row]")).to_have_count(ROWS // 20)
    page.get_by_role("link", name=f"tag: {TAG}").click()
    expect(page).to_have_url(f"{site}/jobs?task=report.foxtrot")
    page.get_by_role("link", name="Failed").click()
    expect(page.locator("#list")).to_contain_text("No job matches")


def test_who_types_fast_does_not_wait_for_suggestions(site: str, page: Page) -> None:
    page.route("**/names?*", lambda route: None)  # never answered
    page.goto(f"{site}/jobs?tag={TAG}")
    page.keyboard.press("/")
    page.keyboard.type("task:report.foxtrot")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(rf"tag={TAG}&task=report.foxtrot$"))


def arrived(page: Page, url: str) -> None:
    """Wait until the page is there and its scripts listen; the address changes before that."""
    expect(page).to_have_url(url)
    page.wait_for_load_state("load")


def test_everything_is_reached_by_keyboard(site: str, page: Page) -> None:
    page.goto(f"{site}/jobs?tag={TAG}")
    first, second, *_ = rows_of(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    row = page.locator("tr[data-current]")
    expect(row).to_have_attribute("data-row", second)
    expect(row.locator("a[data-open]")).to_be_focused()
    page.keyboard.press("x")
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page.locator("#bulk")).to_contain_text("With 1 selected")
    page.keyboard.press("x")
    expect(page.locator("#bulk")).to_be_hidden()
    page.keyboard.press("k")
    expect(row).to_have_attribute("data-row", first)
    page.keyboard.press("Enter")
    arrived(page, f"{site}/jobs/{first}")
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="Keyboard")
    expect(help_).to_be_visible()
    page.keyboard.press("Escape")
    expect(help_).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("gj?")  # letters, while one types
    expect(page.locator("#search")).to_have_value("gj?")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()
    page.keyboard.press("g")
    page.keyboard.press("j")
    arrived(page, f"{site}/jobs")
    page.keyboard.press("n")
    arrived(page, f"{site}/new")


def test_the_focus_is_seen_and_the_frame_can_be_skipped(site: str, page: Page) -> None:
    page.goto(f"{site}/jobs?tag={TAG}")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    unseen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        if not page.evaluate(
            "(() => { const at = getComputedStyle(document.activeElement);"
            " return at.outlineStyle !== 'none' && parseFloat(at.outlineWidth) >= 1 })()"
        ):
            unseen.append(page.evaluate("document.activeElement.outerHTML"))
    assert unseen == []


@pytest.mark.parametrize("text", [TAG, TASK, "id"])
def test_the_search_leads_to_a_job_or_a_list(site: str, page: Page, text: str) -> None:
    page.goto(f"{site}/jobs?tag={TAG}")
    job_id = rows_of(page)[3]
    page.locator("#search").fill(job_id if text == "id" else text)
    page.keyboard.press("Enter")
    expected = {TAG: f"/jobs?tag={TAG}", TASK: f"/jobs?task={TASK}", "id": f"/jobs/{job_id}"}[text]
    expect(page).to_have_url(site + expected)
