"""Whatever a client, a task or a worker says is text on every page."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from task_app.jobs.runtime import runtime

from ..acceptance.stack import Stack
from ..factories import insert_job

MARKUP = "<img src=x onerror=window.pwned=1>"
BREAKOUT = "\"'></pre></textarea><script>window.pwned=1</script>{{7*7}}"
HOSTILE = f"{MARKUP}{BREAKOUT}"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def places(stack: Stack, site: str) -> dict[str, str]:
    """Every page that shows what others have said, of jobs that say the worst in every field."""
    error = {"type": MARKUP, "module": HOSTILE, "args": [HOSTILE], "message": HOSTILE, "traceback": HOSTILE}
    line = {"attempt": 1, "state": "RETRY", "worker": HOSTILE, "started_at": NOW.isoformat(), "error": error}
    common = {
        "task": f"{MARKUP}.task",
        "args": json.dumps([HOSTILE]),
        "kwargs": json.dumps({HOSTILE: {HOSTILE: [HOSTILE]}}),
        "queue": MARKUP,
        "tags": json.dumps([MARKUP]),
        "worker": MARKUP,
        "history": json.dumps(line | {"finished_at": NOW.isoformat()}) + "\n",
        "created_at": NOW - timedelta(minutes=1),
        "started_at": NOW - timedelta(seconds=30),
        "dispatch_at": None,
        "progress": json.dumps({"current": HOSTILE, "total": HOSTILE, "message": HOSTILE}),
    }
    with stack.app.app_context(), runtime().engine.connect() as connection:
        ended = {"finished_at": NOW, "error_type": MARKUP, "error": json.dumps(error)}
        failed = insert_job(connection, **common, **ended, state="FAILURE")
        told = insert_job(connection, **common, finished_at=NOW, state="SUCCESS", result=json.dumps({HOSTILE: HOSTILE}))
        custom = insert_job(connection, **common, state=MARKUP, parent_id=failed)
        waits = {
            "started_at": None,
            "publish_error": HOSTILE,
            "dispatch_at": NOW - timedelta(seconds=5),
            "worker": None,
        }
        waiting = insert_job(connection, **(common | waits), parent_id=failed, state="PENDING", priority=0)
    said = quote(HOSTILE, safe="")
    return {
        "overview": "/",
        "jobs": "/jobs",
        "jobs by error": f"/jobs?error={quote(MARKUP)}&tag={said}&argument=kwargs.{said}%3D1&status={said}",
        "filter": f"/jobs?filter={said}",
        "search": f"/search?q={said}",
        "failed": f"/jobs/{failed}",
        "told": f"/jobs/{told}",
        "custom": f"/jobs/{custom}",
        "waiting": f"/jobs/{waiting}",
        "edit": f"/jobs/{failed}/edit",
        "like": f"/new/add?from={failed}",
        "new": f"/new?q={said}",
        "failures": "/failures?window=all",
        "queues": "/queues",
        "workers": f"/workers?queue={said}",
        "gone": f"/jobs/{said}",
        "nowhere": f"/{said}",
        "sign-in": f"/sign-in?next=javascript:{said}",
    }


NAMES = [
    *("overview", "jobs", "jobs by error", "filter", "search", "failed", "told", "custom", "waiting"),
    *("edit", "like", "new", "failures", "queues", "workers", "gone", "nowhere", "sign-in"),
]


@pytest.mark.parametrize("name", NAMES)
def test_markup_stays_text(places: dict[str, str], site: str, page: Page, name: str) -> None:
    page.goto(site + places[name])
    page.locator("body").wait_for()
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src=x], main script").count() == 0
    assert page.evaluate("[...document.links].every(link => !link.href.startsWith('javascript:'))")
