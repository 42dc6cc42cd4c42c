"""Signing in with each role, the page of keys, and the API's documentation, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from task_app.keys import service
from task_app.keys.roles import Role

from ..acceptance.stack import Stack, running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service that asks everybody for a key; it needs no worker."""
    with running(tmp_path_factory.mktemp("closed"), "sqlite", "embedded", FLASK_AUTH="required") as stack:
        yield stack


@pytest.fixture(scope="module")
def site(stack: Stack) -> str:
    return stack.start_web()


@pytest.fixture(scope="module")
def keys(stack: Stack) -> dict[Role, str]:
    with stack.app.app_context():
        return {role: service.create(f"the {role}", role)[1] for role in Role}


def sign_in(page: Page, site: str, key: str, path: str = "/keys") -> None:
    page.goto(site + path)
    page.get_by_label("Key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_a_stranger_signs_in_and_is_where_they_wanted_to_be(page: Page, site: str, keys: dict[Role, str]) -> None:
    sign_in(page, site, "wrong")
    expect(page.get_by_role("alert")).to_have_text("This key opens nothing: it is wrong, or was revoked.")
    page.get_by_label("Key", exact=True).fill(keys[Role.ADMIN])
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{site}/keys")
    (cookie,) = page.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{site}/sign-in")
    page.goto(f"{site}/keys")
    expect(page).to_have_url(f"{site}/sign-in?next=/keys")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_what_is_not_allowed_is_absent_and_refused(page: Page, site: str, keys: dict[Role, str], role: Role) -> None:
    sign_in(page, site, keys[role], "/jobs")
    expect(page).to_have_url(f"{site}/jobs")
    expect(page.get_by_role("link", name="Keys", exact=True)).to_have_count(0)
    answer = page.goto(f"{site}/keys")
    assert answer is not None and answer.status == 403
    expect(page.get_by_role("heading", level=1)).to_contain_text("Forbidden")
    # The session is good for the API as well, from our own pages.
    assert page.evaluate("fetch('/tasks').then(answer => answer.status)") == 200
    expected = 202 if role is Role.OPERATOR else 403
    assert page.evaluate("fetch('/tasks/block', {method: 'POST'}).then(answer => answer.status)") == expected
    assert page.evaluate("fetch('/tasks/x', {method: 'DELETE'}).then(answer => answer.status)") == 403


def test_a_key_is_made_used_and_revoked(page: Page, site: str, keys: dict[Role, str]) -> None:
    sign_in(page, site, keys[Role.ADMIN])
    name = "<script>window.broken = 1</script> & \"co'"
    page.get_by_label("Name").fill(name)
    page.get_by_role("radio", name="viewer").check()
    page.get_by_role("button", name="Make the key").click()
    made = page.locator("#made").inner_text()
    header = f"{{headers: {{Authorization: 'Bearer {made}'}}}}"
    assert page.evaluate(f"fetch('/tasks', {header}).then(answer => answer.status)") == 200
    page.goto(f"{site}/keys")
    expect(page.get_by_role("cell", name=name, exact=True)).to_have_count(1)
    expect(page.locator("body")).not_to_contain_text(made)
    row = page.get_by_role("row").filter(has_text="window.broken")
    row.get_by_text("Revoke…").click()
    row.get_by_role("button", name="for good").click()
    expect(page.locator(".flash")).to_contain_text("is revoked")
    assert page.evaluate(f"fetch('/tasks', {header}).then(answer => answer.status)") == 401
    assert page.evaluate("window.broken") is None


def test_a_form_of_another_site_does_nothing(page: Page, site: str, keys: dict[Role, str]) -> None:
    sign_in(page, site, keys[Role.ADMIN])
    expect(page).to_have_url(f"{site}/keys")
    # Another port is another origin, and the same site: SameSite=Lax alone would send the cookie along.
    form = f'<form method="post" action="{site}/tasks/block"></form>'
    page.route("http://127.0.0.1:9/", lambda route: route.fulfill(content_type="text/html", body=form))
    page.goto("http://127.0.0.1:9/")
    with page.expect_response(f"{site}/tasks/block") as answer:
        page.evaluate("document.forms[0].submit()")
    assert answer.value.status == 403


def test_the_documentation_shows_itself(page: Page, site: str, keys: dict[Role, str]) -> None:
    sign_in(page, site, keys[Role.OPERATOR], "/docs/")
    expect(page).to_have_url(f"{site}/docs/")
    expect(page.locator("#swagger-ui")).to_contain_text("Submit a job")
    page.locator("#operations-health-get_healthz").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
