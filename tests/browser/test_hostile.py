"""What others have written stays text, on every page and in every field that can be filled."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert

from task_app.jobs import service, transitions
from task_app.jobs.models import Worker
from task_app.jobs.runtime import runtime
from task_app.keys import service as keys
from task_app.keys.roles import Role

from ..acceptance.stack import Stack, running
from ..factories import job_row

EVIL = (
    "\"'><img src=x onerror=window.pwned=1><script>window.pwned=1</script>"
    "{{1337*1337}}${1337*1337}&lt;b&gt;</textarea></title>"
)
ID = "\"'><marquee>{{1337*1337}}"  # no id has white space
ERROR = {"type": EVIL, "module": EVIL, "args": [EVIL], "message": EVIL, "traceback": f"{EVIL}\n{EVIL}"}
#: What became of it: scripts that ran, elements that none of our templates has, addresses that are scripts.
DAMAGE = """() => [
  window.pwned,
  ...document.querySelectorAll("img, marquee, script:not([src]), iframe, [onerror], [onload], [onclick]"),
  ...[...document.querySelectorAll("[href], [action], [src]")].filter((element) =>
    ["href", "action", "src"].some((name) => /^\\s*(javascript|data|vbscript):/i.test(element.getAttribute(name)))),
].filter(Boolean).map((found) => found.outerHTML ?? String(found))"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service in which somebody has filled every field."""
    with running(tmp_path_factory.mktemp("hostile"), "sqlite", "embedded") as stack:
        with stack.app.app_context(), runtime().engine.connect() as connection:
            for row in rows(datetime.now(UTC)):
                transitions.insert_jobs(connection, [row])
            connection.execute(insert(Worker).values(worker(datetime.now(UTC))))
            service.pause_queue(EVIL, by=EVIL)
            keys.create(EVIL[:100], Role.VIEWER)
        stack.start_worker()
        yield stack


@pytest.fixture(scope="module")
def site(stack: Stack) -> str:
    """The service, with the probes among its tasks."""
    return stack.start_web("tests.acceptance.entry:flask_app")


def rows(now: datetime) -> Iterator[dict[str, Any]]:
    """Return jobs in all states, with the same text wherever a column can hold it."""
    for number, state in enumerate(("FAILURE", "RETRY", "SUCCESS", "REVOKED", "PENDING", EVIL)):
        is_over, began = state in ("FAILURE", "SUCCESS", "REVOKED"), now - timedelta(seconds=30 - number)
        yield job_row(
            id=f"{ID}{number}",
            parent_id=f"{ID}0" if number else None,
            root_id=f"{ID}0",
            task=EVIL,
            queue=EVIL,
            args=json.dumps([EVIL]),
            kwargs=json.dumps({EVIL: EVIL}),
            state=state,
            worker=EVIL,
            attempt=2,
            tags=json.dumps([EVIL]),
            progress=json.dumps({"current": EVIL, "total": EVIL, "message": EVIL, EVIL: EVIL}),
            result=json.dumps({EVIL: [EVIL]}) if state == "SUCCESS" else None,
            error_type=EVIL,
            error=json.dumps(ERROR),
            history=transitions.history_line(
                attempt=1, state="RETRY", worker=EVIL, started_at=began, finished_at=now, error=ERROR
            ),
            publish_error=EVIL if state == "PENDING" else None,
            created_at=began,
            dispatch_at=now + timedelta(days=1) if state == "RETRY" else None,
            published_at=began,
            started_at=None if state == "PENDING" else began,
            finished_at=now if is_over else None,
        )


def worker(now: datetime) -> dict[str, Any]:
    """Return a worker that says the same of itself."""
    texts = dict.fromkeys(("name", "host", "version", "pool"), EVIL)
    listed = {"queues": [EVIL], "running": [f"{ID}5"], "prefetched": [f"{ID}4"], "newest": {EVIL: {EVIL: 1}}}
    diary = {"ran_at": now.isoformat(), "total": 1, "did": 1, "did_at": now.isoformat(), "error": [EVIL, EVIL]}
    return {
        **texts,
        **{name: json.dumps(value) for name, value in listed.items()},
        "id": ID,
        "pid": 1,
        "concurrency": 2,
        "services": json.dumps({EVIL: diary | {"error_at": now.isoformat()}}),
        **dict.fromkeys(("dropped", "refused", "junk"), 0),
        "started_at": now,
        "heartbeat_at": now + timedelta(hours=1),
    }


@pytest.fixture
def unharmed(page: Page) -> Callable[[], None]:
    """Assert that the page as it stands shows text and nothing else."""

    def look() -> None:
        assert page.evaluate(DAMAGE) == [], page.url
        assert str(1337 * 1337) not in page.content()

    return look


FILTERS = ("task", "queue", "status", "worker", "tag", "error", "argument", "resolved", "parent", "group", "filter")
PLACES = [
    "/",
    "/?window={evil}&from={evil}&to={evil}",
    "/jobs",
    "/jobs?created_after={evil}&created_before={evil}&cursor={evil}",
    *(f"/jobs?{name}={{evil}}" for name in FILTERS),
    *(f"/jobs/{{id}}{number}" for number in range(6)),
    "/jobs/{id}0/edit",
    "/jobs/{id}",
    "/failures",
    "/failures?window={evil}&resolved=true",
    "/queues",
    "/workers?stopped=true",
    "/workers?queue={evil}",
    "/keys",
    "/new?q={evil}",
    "/new/{evil}",
    "/new/probe.hostile?from={id}0",
    "/search?q={evil}",
    "/search?q={id}0",
    "/sign-in?next={evil}",
    "/nowhere/{evil}",
]


def test_it_stays_text(site: str, page: Page, unharmed: Callable[[], None]) -> None:
    for path in PLACES:
        answer = page.goto(site + path.format(evil=quote(EVIL, safe=""), id=quote(ID, safe="")))
        assert answer is not None and answer.status < 500, path
        page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
        unharmed()


def test_it_is_shown_as_it_is(site: str, page: Page) -> None:
    page.goto(f"{site}/jobs/{quote(ID, safe='')}0")
    expect(page.get_by_role("heading", level=1)).to_have_text(EVIL)
    for region in ("#outcome", "#arguments", "#facts"):
        expect(page.locator(region)).to_contain_text(EVIL)
    page.goto(f"{site}/failures")
    page.locator("#groups").get_by_role("link", name=EVIL).first.click()
    expect(page.locator("tr[data-row]")).to_have_count(1)


def test_it_stays_text_while_it_happens(
    stack: Stack, site: str, page: Page, unharmed: Callable[[], None], tmp_path: Path
) -> None:
    page.goto(f"{site}/jobs?task=probe.hostile")
    told = tmp_path / "told"
    job_id = stack.task("probe.hostile").delay(str(told), EVIL, **{EVIL: EVIL}).id
    row = page.locator(f"[data-row='{job_id}']")
    expect(row).to_contain_text("PROGRESS")
    unharmed()
    row.get_by_role("link", name="probe.hostile").click()
    expect(page.locator("#progress")).to_contain_text(EVIL)
    unharmed()
    told.write_text("1")
    expect(page.locator("#head .state")).to_have_text(EVIL)
    unharmed()
    told.write_text("2")
    expect(page.locator("#head .state")).to_have_text("FAILURE")
    expect(page.locator("#outcome")).to_contain_text(EVIL)
    unharmed()
    page.get_by_role("link", name="Run as a new job").click()
    expect(page.locator("#commands")).to_contain_text("onerror")
    unharmed()


def test_it_stays_text_in_forms(site: str, page: Page, unharmed: Callable[[], None]) -> None:
    page.goto(f"{site}/new/send_email")
    page.locator(".options > summary").click()
    texts = page.locator(".job-form input:not([type]), .job-form textarea")
    for field in texts.all():
        field.fill(EVIL)
    expect(page.locator("#commands")).to_contain_text("onerror")
    unharmed()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("alert")).to_be_visible()
    assert {field.input_value() for field in texts.all()} >= {EVIL}
    unharmed()
    page.goto(f"{site}/keys")
    name = EVIL[::-1][:90]
    page.get_by_label("Name").fill(name)
    page.get_by_role("radio", name="viewer").check()
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#made-title")).to_contain_text(name)
    unharmed()
    page.get_by_text("Revoke…").last.click()
    page.get_by_role("button", name="for good").last.click()
    expect(page.locator(".flash")).to_contain_text("is revoked")
    unharmed()
    page.goto(f"{site}/queues")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".flash")).to_contain_text(EVIL)
    unharmed()


def test_it_stays_text_among_suggestions(site: str, page: Page, unharmed: Callable[[], None]) -> None:
    page.goto(f"{site}/jobs")
    for name in ("task", "queue", "worker", "tag", "error"):
        page.locator("#filter").fill(f"{name}:\"'>")
        expect(page.locator("#filter-options")).to_contain_text(EVIL)
        unharmed()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("error="))
    expect(page.get_by_role("link", name=f"error: {EVIL}")).to_be_visible()
    unharmed()


def test_signing_in_leads_to_no_other_place(site: str, page: Page) -> None:
    for where in ("javascript:window.pwned=1", "//evil.test/", "https://evil.test/", "/\\evil.test", "\t//evil.test"):
        page.goto(f"{site}/sign-in?next={quote(where, safe='')}")
        expect(page).to_have_url(f"{site}/")
