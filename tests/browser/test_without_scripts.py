"""Pages work where scripts are off."""

import re

from playwright.sync_api import Page, expect

from ..acceptance.stack import Stack


def test_a_job_is_made_found_and_cancelled_without_scripts(stack: Stack, site: str, plain: Page) -> None:
    plain.goto(site)
    expect(plain.locator("#live-mark")).to_have_text("Not live")
    expect(plain.locator("#charts svg").first).to_be_visible()
    plain.get_by_role("link", name="New job", exact=True).first.click()
    plain.get_by_label("Find a task").fill("busy")
    plain.get_by_role("button", name="Find").click()
    plain.get_by_role("link", name="block").click()
    plain.locator("#arg-seconds").fill("9999")
    plain.get_by_role("button", name="Submit").click()
    expect(plain.locator("#arg-seconds-error")).to_be_visible()
    plain.locator("#arg-seconds").fill("600")
    plain.get_by_role("button", name="Submit").click()
    expect(plain).to_have_url(re.compile(r"/jobs/[^/]+$"))
    job_id = plain.url.rpartition("/")[2]
    expect(plain.locator("#arguments")).to_contain_text("600")

    plain.get_by_role("navigation", name="Pages").get_by_role("link", name="Jobs").click()
    plain.get_by_role("combobox", name="Add a filter").fill("task:block")
    plain.keyboard.press("Enter")
    expect(plain).to_have_url(f"{site}/jobs?task=block")
    plain.get_by_role("combobox", name="Add a filter").fill("status:running")
    plain.keyboard.press("Enter")
    expect(plain).to_have_url(f"{site}/jobs?task=block&status=running")
    stack.until_state(job_id, "STARTED")
    plain.reload()
    plain.locator(f"[data-row='{job_id}'] a[data-open]").click()
    plain.get_by_role("button", name="Cancel").click()
    expect(plain.locator(".flash")).to_have_text("It was told to end.")
    assert stack.until_ended(job_id).state == "REVOKED"
    plain.reload()
    expect(plain.locator("#head .state")).to_have_text("REVOKED")


def test_many_jobs_are_acted_on_without_scripts(stack: Stack, site: str, plain: Page) -> None:
    ids = [stack.task("add").apply_async((1, 2), countdown=3600).id for _ in range(3)]
    plain.goto(f"{site}/jobs?task=add&status=waiting")
    plain.locator(f"[data-row='{ids[0]}'] input").check()
    plain.get_by_role("button", name="Cancel").click()
    expect(plain.get_by_role("heading", level=1)).to_have_text("Cancelled: 1 of 1 jobs")
    assert [stack.job(job_id).state for job_id in ids] == ["REVOKED", "PENDING", "PENDING"]
