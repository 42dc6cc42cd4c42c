"""Acting on many jobs: on those that were selected, or on all that match, which says N and does N."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Dialog, Page, expect

from task_app.jobs import lists, transitions
from task_app.jobs.actions import STEP
from task_app.jobs.filters import Filter
from task_app.jobs.runtime import runtime

from ..acceptance.stack import Stack
from ..factories import job_row

MANY = 2 * STEP + 50
LENGTH = 50  # of a page


def submit(stack: Stack, number: int, tag: str) -> list[str]:
    """Put jobs into the table that nobody starts before the test has ended."""
    due = datetime.now(UTC) + timedelta(hours=1)
    rows = [job_row(tags=f'["{tag}"]', due_at=due, dispatch_at=due) for _ in range(number)]
    with stack.app.app_context(), runtime().engine.connect() as connection:
        transitions.insert_jobs(connection, rows)
    return [row["id"] for row in rows]


def count(stack: Stack, **wanted: str) -> int:
    with stack.app.app_context(), runtime().engine.connect() as connection:
        return lists.count(connection, Filter(**wanted)).number  # type: ignore[arg-type]


def outcome(page: Page, name: str, number: int) -> None:
    expect(page.locator(f"[data-outcome='{name}']")).to_have_text(str(number))


def test_selected_rows_stay_while_news_wait(stack: Stack, site: str, page: Page) -> None:
    submit(stack, 3, "resting")
    rows, mark = page.locator("tr[data-row]"), page.locator("#live-mark")
    page.goto(f"{site}/jobs?tag=resting")
    expect(mark).to_have_text("Live")
    page.get_by_role("checkbox", name="Select add").nth(1).check()
    expect(mark).to_have_text("Paused while rows are selected")
    expect(page.locator("#bulk")).to_contain_text("With 1 selected")
    submit(stack, 1, "resting")
    other = page.context.new_page()
    other.goto(f"{site}/jobs?tag=resting")
    expect(other.locator("tr[data-row]")).to_have_count(4)
    submit(stack, 1, "resting")
    expect(other.locator("tr[data-row]")).to_have_count(5)  # so the page in question has been told, too
    expect(rows).to_have_count(3)
    expect(page.get_by_role("checkbox", name="Select add").nth(1)).to_be_checked()
    page.get_by_role("checkbox", name="Select add").nth(1).uncheck()
    expect(rows).to_have_count(5)
    expect(mark).to_have_text("Live")
    expect(page.locator("#bulk")).to_be_hidden()


def test_what_became_of_each_selected_job_is_said(stack: Stack, site: str, page: Page) -> None:
    first, second, third = submit(stack, 3, "chosen")
    page.goto(f"{site}/jobs?tag=chosen")
    page.locator(f"[data-row='{third}'] input").check()
    page.locator(f"[data-row='{first}'] input").click(modifiers=["Shift"])  # and those between
    page.locator(f"[data-row='{second}'] input").uncheck()
    expect(page.locator("#bulk")).to_contain_text("With 2 selected")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Cancelled: 2 of 2 jobs")
    outcome(page, "changed", 2)
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(f"{site}/jobs?tag=chosen")
    for job_id, state in ((first, "REVOKED"), (second, "PENDING"), (third, "REVOKED")):
        expect(page.locator(f"[data-row='{job_id}'] .state")).to_have_text(state)
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Retried: 3 of 3 jobs")
    outcome(page, "changed", 2)
    outcome(page, "not allowed", 1)
    expect(page.locator(f"[data-row='{second}']")).to_contain_text("not allowed")


def test_all_that_match_means_all(stack: Stack, site: str, page: Page) -> None:
    submit(stack, MANY, "doomed")
    submit(stack, 5, "spared")
    page.goto(f"{site}/jobs?tag=doomed&status=waiting")
    page.get_by_label("Select all on this page").check()
    expect(page.locator("#bulk")).to_contain_text(f"With {LENGTH} selected")
    page.get_by_label(f"all {MANY} matching").check()
    expect(page.locator("#bulk")).to_contain_text("With all matching jobs")
    (late,) = submit(stack, 1, "doomed")  # none of those that the page has counted
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Cancelled: {MANY} of {MANY} jobs")
    outcome(page, "changed", MANY)
    assert count(stack, tag="doomed", status="REVOKED") == MANY
    assert count(stack, tag="spared", status="PENDING") == 5
    assert stack.job(late).state == "PENDING"
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(re.compile("tag=doomed&status=waiting$"))
    expect(page.locator("tr[data-row]")).to_have_count(1)


@pytest.mark.parametrize("answer", [False, True])
def test_nothing_is_deleted_unasked(stack: Stack, site: str, page: Page, answer: bool) -> None:
    tag = f"deleted-{answer}"
    (job_id,) = submit(stack, 1, tag)
    page.goto(f"{site}/jobs?tag={tag}")
    page.locator(f"[data-row='{job_id}'] input").check()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Back to the list").click()
    page.locator(f"[data-row='{job_id}'] input").check()
    asked: list[str] = []

    def reply(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if answer else dialog.dismiss()

    page.on("dialog", reply)
    page.get_by_role("button", name="Delete").click()
    if answer:
        expect(page.get_by_role("heading", level=1)).to_have_text("Deleted: 1 of 1 jobs")
    assert asked == ["Delete these jobs for good?"]
    assert count(stack, tag=tag) == (0 if answer else 1)
