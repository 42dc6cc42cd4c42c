"""A failure is found by its exception, repaired, and run again."""

from playwright.sync_api import Page, expect

from ..acceptance.stack import Stack


def test_a_failure_is_found_by_its_exception_repaired_and_run_again(stack: Stack, site: str, page: Page) -> None:
    failed = stack.task("add").apply_async(kwargs={"a": "forty", "b": 2}).id
    assert stack.until_ended(failed).state == "FAILURE"
    page.goto(site)
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Failures").click()
    group = page.get_by_role("row").filter(has_text="TypeError")
    expect(group).to_contain_text("can only concatenate str")
    group.get_by_role("link", name="TypeError").click()
    page.locator(f"[data-row='{failed}']").get_by_role("link", name="add").click()
    expect(page.locator("#outcome")).to_contain_text("TypeError")
    page.get_by_role("link", name="Edit and retry").click()
    expect(page.get_by_label("b required")).to_have_value("2")
    page.get_by_label("a required").fill("40")
    page.get_by_role("button", name="Retry with these").click()
    expect(page).to_have_url(f"{site}/jobs/{failed}")
    expect(page.locator("#head .state")).to_have_text("SUCCESS")
    expect(page.locator("#result")).to_have_text("42")
    attempts = page.locator("#attempts tbody tr")
    expect(attempts).to_have_count(2)
    expect(attempts.nth(0)).to_contain_text("SUCCESS")
    expect(attempts.nth(1)).to_contain_text("TypeError")
    page.goto(f"{site}/failures")
    expect(page.locator("#groups")).not_to_contain_text("TypeError")
