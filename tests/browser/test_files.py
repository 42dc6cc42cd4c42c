"""Files with a real browser: chosen in a form, seen on the page of the job, saved, and never shown as a page."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Error, Page, expect

from ..acceptance.stack import Stack
from .test_new_job import assert_accessible, job_id_of


@pytest.fixture(scope="module")
def site(stack: Stack) -> str:
    """The address of a web server that knows the tasks of tests."""
    return stack.start_web("tests.acceptance.web:app")


HTML = "<script>document.title = 'owned'</script>"


@pytest.mark.parametrize("kind", ["page", "plain"])
def test_a_file_is_chosen_and_what_was_made_is_saved(
    stack: Stack, site: str, request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    page: Page = request.getfixturevalue(kind)
    (tmp_path / "in.txt").write_bytes(b"abc")
    page.goto(f"{site}/new/probe.reverse")
    page.get_by_label("Choose a file for file").set_input_files(tmp_path / "in.txt")
    page.get_by_role("button", name="Submit").click()
    stack.until_ended(job_id_of(page))
    if kind == "plain":
        page.reload()
    link = page.get_by_role("link", name="reversed.bin")
    expect(link).to_be_visible()
    with page.expect_download() as saving:
        link.click()
    assert saving.value.suggested_filename == "reversed.bin"
    assert Path(saving.value.path()).read_bytes() == b"cba"


def test_the_pages_keep_nobody_out(stack: Stack, site: str, page: Page, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(b"abc")
    page.goto(f"{site}/new/probe.reverse")
    assert_accessible(page)
    page.get_by_label("Choose a file for file").set_input_files(tmp_path / "in.txt")
    page.locator(".options > summary").click()
    page.locator("#option-priority").fill("99")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("in.txt (3 B) is uploaded")).to_be_visible()
    assert_accessible(page)
    page.locator("#option-priority").fill("9")
    page.get_by_role("button", name="Submit").click()
    job = stack.until_ended(job_id_of(page))
    assert job.state == "SUCCESS"
    expect(page.get_by_role("link", name="reversed.bin")).to_be_visible()
    assert_accessible(page)


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml"])
def test_no_file_is_shown_as_a_page(site: str, page: Page, kind: str) -> None:
    stored = httpx.post(f"{site}/files", files={"file": ("page.html", HTML, kind)}).json()
    with page.expect_download(), pytest.raises(Error, match="Download is starting"):
        page.goto(f"{site}{stored['link']}")
    assert page.title() != "owned"
