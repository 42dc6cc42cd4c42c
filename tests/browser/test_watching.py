"""A job is watched and cancelled on its page, without a reload, whatever happens to the connection."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from playwright.sync_api import Dialog, Page, expect

from task_app.jobs import service
from task_app.jobs.runtime import utcnow

from ..acceptance.stack import Stack, until


def is_marked(page: Page, state: str) -> None:
    expect(page.locator("#live-mark")).to_have_attribute("data-state", state)


def state_is(page: Page, state: str) -> None:
    expect(page.locator("#head .state")).to_have_text(state)


def leave_a_mark(page: Page) -> Callable[[], bool]:
    """Return whether the document is still the same, when called."""
    page.evaluate("window.stays = true")
    return lambda: page.evaluate("window.stays === true")


def waiting_job(stack: Stack) -> str:
    """Submit what nobody starts before the test has ended."""
    job_id: str = stack.task("add").apply_async((1, 2), eta=utcnow() + timedelta(hours=1)).id
    return job_id


def cancel(stack: Stack, job_id: str) -> None:
    with stack.app.app_context():
        service.cancel(job_id)


def test_progress_moves_to_the_end_without_a_reload(stack: Stack, site: str, page: Page) -> None:
    told = stack.folder / "told"
    job_id = stack.task("probe.as_told").delay(str(told), 12).id
    page.goto(f"{site}/jobs/{job_id}")
    is_same_document = leave_a_mark(page)
    bar = page.get_by_role("progressbar")
    for step, percent in ((3, "25"), (9, "75")):
        told.write_text(str(step))
        expect(bar).to_have_attribute("value", percent)
        expect(page.locator("#progress")).to_contain_text(f"{step} of 12")
        expect(page.locator("#progress")).to_contain_text(f"step {step}")
        state_is(page, "PROGRESS")
    expect(page.locator("#result")).to_have_count(0)
    told.write_text("12")
    state_is(page, "SUCCESS")
    expect(page.locator("#result")).to_contain_text("all done")
    expect(page.locator("#attempts tbody tr")).to_contain_text(["SUCCESS"])
    expect(page.locator("#timeline li[data-kind=run]")).to_have_count(1)
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    assert "SUCCESS" in page.title() and is_same_document()


def test_a_running_job_is_cancelled_after_a_question(stack: Stack, site: str, page: Page) -> None:
    job_id = stack.task("block").delay(seconds=600).id
    page.goto(f"{site}/jobs/{job_id}")
    state_is(page, "STARTED")
    button, asked = page.get_by_role("button", name="Cancel"), []

    def dismiss(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", dismiss)
    button.click()
    assert asked == ["Cancel this job?"] and stack.job(job_id).cancel_requested_at is None
    page.once("dialog", lambda dialog: dialog.accept())
    with page.expect_navigation():
        button.click()
    expect(page.locator(".flash")).to_have_text("It was told to end.")
    is_same_document = leave_a_mark(page)
    state_is(page, "REVOKED")
    expect(page.locator("#outcome")).to_contain_text("Why it ended")
    expect(button).to_have_count(0)
    assert is_same_document()


def test_a_server_that_dies_is_seen_and_what_happened_meanwhile_is_shown(stack: Stack, page: Page) -> None:
    site = stack.start_web()
    server, port = stack.processes[-1], urlsplit(site).port or 0
    job_id = waiting_job(stack)
    page.goto(f"{site}/jobs/{job_id}")
    is_same_document = leave_a_mark(page)
    is_marked(page, "live")
    stack.kill(server)
    is_marked(page, "lost")
    cancel(stack, job_id)
    state_is(page, "PENDING")
    stack.start_web(port=port)
    is_marked(page, "live")
    state_is(page, "REVOKED")
    assert is_same_document()


def test_where_streams_are_blocked_changes_arrive_all_the_same(stack: Stack, site: str, page: Page) -> None:
    job_id = waiting_job(stack)
    page.route("**/live/**", lambda route: route.abort())
    page.clock.install()
    page.goto(f"{site}/jobs/{job_id}")
    is_same_document = leave_a_mark(page)

    def is_polling() -> bool:
        page.clock.run_for(1_000)
        return page.locator("#live-mark").get_attribute("data-state") == "polling"

    def is_revoked() -> bool:
        page.clock.run_for(1_000)
        return page.locator("#head .state").inner_text() == "REVOKED"

    until(is_polling, "the mark")
    cancel(stack, job_id)
    until(is_revoked, "the change")
    is_marked(page, "polling")
    assert is_same_document()
