"""What each role sees and may do: buttons that are not for it are absent, and what they would send is refused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from task_app.jobs import faults, transitions
from task_app.jobs.runtime import runtime

from ..acceptance.stack import ROOT, Stack, running
from ..factories import job_row

#: Sends a form as a page would, with the token of its session; returns the status of the answer.
FORGE = """async ([path, token, fields]) => {
  const body = new URLSearchParams({csrf_token: token, ...fields});
  return (await fetch(path, {method: "POST", body, redirect: "manual"})).status;
}"""
#: Every place that a form can be sent to, and the least role for it.
FORMS = {
    "/jobs/{waiting}/cancel": "operator",
    "/jobs/{failed}/retry": "operator",
    "/jobs/{failed}/edit": "operator",
    "/jobs/{failed}/resolve": "operator",
    "/jobs/{failed}/unresolve": "operator",
    "/jobs/{failed}/delete": "admin",
    "/jobs/actions": "operator",
    "/new/add": "operator",
    "/new-command/add": "operator",
    "/queues/celery/pause": "operator",
    "/queues/celery/resume": "operator",
    "/keys": "admin",
    "/keys/revoke": "admin",
}
RANKS = ("viewer", "operator", "admin")


@dataclass
class House:
    """A service that asks everybody for a key, its keys by role, and its jobs by what became of them."""

    site: str
    keys: dict[str, str]
    jobs: dict[str, str]

    def enter(self, page: Page, role: str, path: str = "/") -> None:
        """Sign in."""
        page.goto(f"{self.site}{path}")
        page.get_by_label("Key", exact=True).fill(self.keys[role])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """It needs no worker."""
    with running(tmp_path_factory.mktemp("guarded"), "sqlite", "embedded", FLASK_AUTH="required") as stack:
        yield stack


@pytest.fixture(scope="module")
def house(stack: Stack) -> House:
    keys = {role: make_key(stack, role) for role in RANKS}
    now = datetime.now(UTC)
    error = faults.fault("ValueError", "builtins", ["no"], "no")
    ended = {"created_at": now, "started_at": now, "finished_at": now, "dispatch_at": None, "error_type": "ValueError"}
    rows = {
        "waiting": job_row(dispatch_at=None, published_at=now),
        "failed": job_row(state="FAILURE", error=json.dumps(error), **ended),
    }
    with stack.app.app_context(), runtime().engine.connect() as connection:
        for row in rows.values():
            transitions.insert_jobs(connection, [row])
    return House(stack.start_web(), keys, {name: row["id"] for name, row in rows.items()})


def make_key(stack: Stack, role: str) -> str:
    """Make a key as people do."""
    made = subprocess.run(
        [sys.executable, "-m", "flask", "--app", "task_app.wsgi:app", "keys", "create", f"the {role}", "--role", role],
        cwd=ROOT,
        env={**os.environ, **stack.environment},
        check=True,
        capture_output=True,
        text=True,
    )
    found = re.search(r"taskapp_\S+", made.stdout)
    assert found is not None, made.stdout
    return found[0]


def buttons(page: Page, path: str) -> set[str]:
    """Return the words on what can be pressed in the content of a page, without those that only copy or show."""
    page.goto(path)
    texts = page.locator("main :is(button:not([data-copy]), a.button)").all_text_contents()
    return {text.strip() for text in texts}


SEEN: dict[str, dict[str, set[str]]] = {
    "viewer": {"/": set(), "/jobs": set(), "/jobs/{waiting}": set(), "/jobs/{failed}": set(), "/queues": set()},
    "operator": {
        "/": {"New job"},
        "/jobs": {"New job", "Cancel", "Retry", "Resolve"},
        "/jobs/{waiting}": {"Cancel"},
        "/jobs/{failed}": {"Retry", "Edit and retry", "Run as a new job", "Resolve"},
        "/queues": {"Pause celery"},
    },
}
SEEN["admin"] = SEEN["operator"] | {
    "/jobs": SEEN["operator"]["/jobs"] | {"Delete"},
    "/jobs/{failed}": SEEN["operator"]["/jobs/{failed}"] | {"Delete"},
}


@pytest.mark.parametrize("role", RANKS)
def test_each_role_sees_what_it_may_do_and_no_more(house: House, page: Page, role: str) -> None:
    house.enter(page, role)
    pages = page.get_by_role("navigation", name="Pages").get_by_role("link").all_text_contents()
    usual = ["Overview", "Jobs", "Failures", "Queues", "Workers"]
    more: dict[str, list[str]] = {"viewer": [], "operator": ["New job"], "admin": ["Keys", "New job"]}
    assert pages == usual + more[role]
    found = {path: buttons(page, house.site + path.format(**house.jobs)) for path in SEEN[role]}
    assert found == SEEN[role]


@pytest.mark.parametrize("role", RANKS[:2])
def test_what_is_not_for_a_role_is_refused(stack: Stack, house: House, page: Page, role: str) -> None:
    house.enter(page, role)
    token = page.locator("[name=csrf_token]").first.input_value()
    for path, least in FORMS.items():
        if RANKS.index(role) < RANKS.index(least):
            assert page.evaluate(FORGE, [path.format(**house.jobs), token, {}]) == 403, path
    every = {"action": "delete", "all": "2", "as_of": datetime.now(UTC).isoformat()}
    assert page.evaluate(FORGE, ["/jobs/actions", token, every]) == 403
    assert stack.job(house.jobs["waiting"]).cancel_requested_at is None
    assert stack.job(house.jobs["failed"]).state == "FAILURE"
    answer = page.goto(f"{house.site}/{'new' if role == 'viewer' else 'keys'}")
    assert answer is not None and answer.status == 403


def test_a_form_without_the_token_of_its_session_is_refused(house: House, page: Page) -> None:
    house.enter(page, "admin")
    for token in ("", "made up"):
        assert page.evaluate(FORGE, [f"/jobs/{house.jobs['failed']}/delete", token, {}]) == 400


def test_an_operator_acts(house: House, page: Page) -> None:
    house.enter(page, "operator", "/queues")
    page.get_by_role("button", name="Pause celery").click()
    expect(page.locator("#queues")).to_contain_text("by the operator")
    page.goto(f"{house.site}/jobs/{house.jobs['waiting']}")
    expect(page.locator("#reason")).to_contain_text("Its queue is paused")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".flash")).to_have_text("It is revoked.")
