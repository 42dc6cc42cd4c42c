"""Making jobs with a real browser."""

import re
from datetime import datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from task_app.jobs import service
from task_app.jobs.lists import Filter

from ..acceptance.stack import Stack


def job_id_of(page: Page) -> str:
    page.wait_for_url(re.compile(r"/jobs/[^/]+$"))
    return page.url.rpartition("/")[2]


def test_a_wrong_form_is_repaired_and_runs(stack: Stack, site: str, page: Page) -> None:
    page.goto(f"{site}/new")
    page.get_by_label("Find a task").fill("number of steps")
    expect(page.locator("#tasks tbody tr:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/new/process")
    page.get_by_label("total").fill("200000")
    page.get_by_role("button", name="Submit").click()
    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    total = page.get_by_label("total")
    expect(total).to_have_value("200000")
    expect(total).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#arg-total-error")).to_contain_text("less than or equal to 100000")
    summary.get_by_role("link").click()
    expect(total).to_be_focused()
    total.fill("2")
    page.get_by_label("step_seconds").fill("0")
    page.keyboard.press("Enter")
    job = stack.until_ended(job_id_of(page))
    assert (job.state, job.kwargs) == ("SUCCESS", {"total": 2, "step_seconds": 0})


def test_the_command_follows_what_is_typed(site: str, page: Page) -> None:
    page.goto(f"{site}/new/send_email")
    page.locator("#arg-subject").fill("it's")
    expect(page.locator("#command-curl")).to_contain_text("""{"subject": "it'"'"'s"}""")
    page.locator("#arg-to").fill("a@example.com")
    page.locator("#arg-body").fill("two\nlines")
    expect(page.locator("#command-curl")).to_contain_text('"body": "two\\nlines"')
    page.get_by_role("radio", name="Python").check()
    expect(page.locator("#command-python")).to_be_visible()
    expect(page.locator("#command-curl")).to_be_hidden()
    page.locator("#arg-subject").fill("other")
    expect(page.locator("#command-python")).to_contain_text("subject='other'")


def test_a_moment_is_sent_in_the_zone_of_the_browser(stack: Stack, site: str, page: Page) -> None:
    page.goto(f"{site}/new/add")
    page.locator("#arg-a").fill("1")
    page.locator("#arg-b").fill("2")
    page.locator(".options > summary").click()
    page.locator("#option-eta").fill("2100-07-01T12:00")
    expect(page.get_by_label("Time zone of eta")).to_have_value("Europe/Vienna")
    page.get_by_role("button", name="Submit").click()
    job = stack.job(job_id_of(page))
    assert job.due_at == datetime.fromisoformat("2100-07-01T10:00:00+00:00")


def test_half_a_number_is_not_lost_on_the_way(site: str, page: Page) -> None:
    page.goto(f"{site}/new/add")
    page.locator("#arg-a").press_sequentially("1e")
    page.locator("#arg-b").fill("2")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator("#arg-a")).to_be_focused()
    assert page.url.endswith("/new/add") and page.get_by_role("alert").count() == 0


def test_a_double_click_makes_one_job(stack: Stack, site: str, page: Page) -> None:
    page.goto(f"{site}/new/add")
    page.locator("#arg-a").fill("20")
    page.locator("#arg-b").fill("22")
    page.get_by_role("button", name="Submit").dblclick()
    job_id = job_id_of(page)
    with stack.app.app_context():
        jobs = service.page(Filter(task="add"), limit=100).jobs
    assert [job.id for job in jobs if job.kwargs == {"a": 20, "b": 22}] == [job_id]


def test_a_failed_job_is_retried_with_other_arguments(stack: Stack, site: str, page: Page) -> None:
    failed = stack.task("send_welcome_email").delay(4711).id
    assert stack.until_ended(failed).state == "FAILURE"
    page.goto(f"{site}/jobs/{failed}/edit")
    expect(page.locator(".flash")).to_contain_text("there is no user 4711")
    page.locator("#arg-user_id").fill("4712")
    page.get_by_role("button", name="Retry").click()
    assert job_id_of(page) == failed
    assert stack.until_ended(failed).args == [4712]


def test_a_form_works_without_scripts(stack: Stack, site: str, page: Page) -> None:
    plain = page.context.browser
    assert plain is not None
    context = plain.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/new?q=sum+add")
    page.goto(f"{site}/new/add")
    page.locator("#arg-a").fill("1")
    page.get_by_role("button", name="Submit").click()
    assert "This is needed." in page.locator("#arg-b-error").inner_text()
    page.locator("#arg-b").fill("2")
    page.locator(".options > summary").click()
    page.locator("#option-eta").fill("2100-07-01T12:00")
    page.get_by_role("button", name="Submit").click()
    job = stack.job(job_id_of(page))
    context.close()
    assert job.due_at is not None and job.due_at.utcoffset() == timedelta(0) and job.due_at.hour == 12


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out(stack: Stack, site: str, page: Page, scheme: str) -> None:
    failed = stack.task("send_welcome_email").delay(4711).id
    stack.until_ended(failed)
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for path in ("/new", "/new/send_email", "/new/add", f"/jobs/{failed}/edit"):
        page.goto(site + path)
        if path.startswith("/new/"):
            page.locator(".options > summary").click()
            assert_accessible(page)
            page.get_by_role("button", name="Submit").click()
            page.get_by_role("alert").wait_for()
        assert_accessible(page)


def assert_accessible(page: Page) -> None:
    found = Axe().run(page)
    serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
    assert serious == [], [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious]
