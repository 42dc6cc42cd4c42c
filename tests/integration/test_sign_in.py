"""The sign-in page, its session, and the page of keys."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf

from task_app import create_app
from task_app.keys import service, text
from task_app.keys.roles import Role
from task_app.web.attempts import FailedAttempts

from ..acceptance.stack import ROOT
from ..conftest import dispose, settings_for
from ..keys import bearer, embedded_app, make_key, serving, signed_in, token_of

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TEMPLATES = ROOT / "task_app" / "dashboard" / "templates"


@pytest.fixture
def app(tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Flask]:
    """An app that asks everybody for a key, and forms for their token."""
    with serving(tmp_path, migrated_sqlite) as app:
        yield app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def sign_in(client: FlaskClient, key: str, to: str = "", address: str = "127.0.0.1", **headers: str) -> tuple[int, str]:
    """Return status, and where to, or the page."""
    form = {"key": key, "next": to, "csrf_token": token_of(client)}
    overrides = {"REMOTE_ADDR": address}
    response = client.post("/sign-in", data=form, headers={**HTML, **headers}, environ_overrides=overrides)
    return response.status_code, response.headers.get("Location", response.text)


def test_a_stranger_is_led_to_the_page_and_back(app: Flask, client: FlaskClient) -> None:
    response = client.get("/keys?a=%C3%A4&b=1", headers=HTML)
    assert response.status_code == 302
    address = response.headers["Location"]
    assert urlsplit(address).path == "/sign-in"
    page = client.get(address, headers=HTML).text
    back = re.findall(r'name="next" value="([^"]*)"', page)[0].replace("&amp;", "&")
    assert sign_in(client, make_key(app), back) == (303, "/keys?a=%C3%A4&b=1")
    assert client.get(back, headers=HTML).status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "\t//evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/ä",
    ],
)
def test_nobody_is_led_to_another_site(app: Flask, client: FlaskClient, elsewhere: str) -> None:
    assert sign_in(client, make_key(app), elsewhere) == (303, "/")


def test_programs_get_the_problem(client: FlaskClient) -> None:
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}, {"Accept": "text/event-stream"}):
        response = client.get("/", headers=headers)
        assert (response.status_code, response.mimetype) == (401, "application/problem+json")
    assert client.get("/tasks", headers=HTML).mimetype == "application/problem+json"  # no page, whoever asks


def test_the_cookie(app: Flask, client: FlaskClient) -> None:
    assert sign_in(client, make_key(app))[0] == 303
    cookie = client.get_cookie("task_app")
    assert cookie is not None
    assert (cookie.http_only, cookie.same_site, cookie.secure, cookie.path) == (True, "Lax", False, "/")
    with app.app_context():
        (key,) = service.everyone()
    with client.session_transaction() as session:
        assert session.keys() == {"_permanent", "key", "since"}
        assert session["key"] == key.id


def test_the_cookie_keeps_to_tls(app: Flask, client: FlaskClient) -> None:
    page = client.get("/sign-in", headers=HTML, base_url="https://localhost")
    form = {"key": make_key(app), "csrf_token": re.findall(r'csrf_token" value="([^"]+)', page.text)[0]}
    response = client.post("/sign-in", data=form, base_url="https://localhost", headers=HTML)
    assert response.status_code == 303
    assert "; Secure;" in response.headers["Set-Cookie"]


def test_the_cookie_can_be_kept_to_tls_by_a_setting(tmp_path: Path, migrated_sqlite: bytes) -> None:
    with serving(tmp_path, migrated_sqlite, SESSION_COOKIE_SECURE=True) as app:
        response = app.test_client().get("/sign-in", headers=HTML)
        assert "; Secure;" in response.headers["Set-Cookie"]


def test_nothing_from_before_goes_on_after_signing_in(app: Flask, client: FlaskClient) -> None:
    token = token_of(client)
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    assert sign_in(client, make_key(app))[0] == 303
    with client.session_transaction() as session:
        assert "planted" not in session
    assert client.post("/sign-out", data={"csrf_token": token}).status_code == 400


@pytest.mark.parametrize("key", ["", "wrong", f"taskapp_{'0' * 16}_{'0' * 64}", "\udcff", "x" * 10_000])
def test_a_wrong_key_is_said_to_be_wrong(app: Flask, client: FlaskClient, key: str) -> None:
    make_key(app)
    status, page = sign_in(client, key.encode("utf-8", "surrogatepass").decode("utf-8", "replace"))
    assert status == 403
    assert 'role="alert"' in page
    assert client.get("/tasks").status_code == 401


def test_signing_out(app: Flask) -> None:
    app.add_url_rule("/token", view_func=generate_csrf)
    client = signed_in(app, Role.VIEWER)
    assert client.get("/sign-out", headers=HTML).status_code == 405
    assert client.post("/sign-out").status_code == 400
    token = client.get("/token").text
    assert client.post("/sign-out", data={"csrf_token": token}).status_code == 303
    assert client.get("/tasks").status_code == 401


def test_who_is_in_is_sent_on(app: Flask, tmp_path: Path, migrated_sqlite: bytes) -> None:
    assert signed_in(app).get("/sign-in?next=/keys").headers["Location"] == "/keys"
    with embedded_app(tmp_path / "open", migrated_sqlite) as fresh:
        assert fresh.test_client().get("/sign-in").headers["Location"] == "/"


def test_the_page_tells_how_to_make_the_first_key(app: Flask, client: FlaskClient) -> None:
    assert "flask keys create" in client.get("/sign-in", headers=HTML).text
    make_key(app)
    assert "flask keys create" not in client.get("/sign-in", headers=HTML).text


# -- how often ---------------------------------------------------------------------------------------------------------


def test_who_fails_too_often_has_to_wait(app: Flask, client: FlaskClient) -> None:
    right = make_key(app)
    assert [sign_in(client, "wrong")[0] for _ in range(10)] == [403] * 10
    response = client.post("/sign-in", data={"key": right, "csrf_token": token_of(client)}, headers=HTML)
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert "Too many failed attempts" in response.text
    assert client.get("/tasks").status_code == 401
    assert client.get("/tasks", headers=bearer(right)).status_code == 200
    assert sign_in(client, right, address="192.0.2.7")[0] == 303  # from elsewhere


def test_success_is_not_counted(app: Flask) -> None:
    right = make_key(app)
    assert [sign_in(app.test_client(), right)[0] for _ in range(12)] == [303] * 12


def test_attempts_from_everywhere_are_counted_together() -> None:
    attempts = FailedAttempts()
    for number in range(99):
        attempts.failed(f"192.0.2.{number}")
    assert attempts.wait("198.51.100.1") == 0
    attempts.failed("192.0.2.99")
    assert 1 <= attempts.wait("198.51.100.1") <= 60


def test_one_customer_has_many_addresses() -> None:
    attempts = FailedAttempts()
    for number in range(10):
        attempts.failed(f"2001:db8:1:2::{number:x}")
    assert attempts.wait("2001:db8:1:2:ffff::1") > 0
    assert attempts.wait("2001:db8:1:3::1") == 0
    attempts.failed(None)
    assert attempts.wait(None) == 0


# -- tokens in forms ---------------------------------------------------------------------------------------------------


def test_forms_without_their_token_are_refused_on_a_page(app: Flask) -> None:
    client, other = signed_in(app), signed_in_again(app)
    for token in ("", "wrong", token_of(other, "/keys")):
        response = client.post("/keys", data={"name": "x", "role": "viewer", "csrf_token": token}, headers=HTML)
        assert (response.status_code, response.mimetype) == (400, "text/html")
        assert "too old" in response.text
    form = {"name": "x", "role": "viewer"}
    assert client.post("/keys", data=form).mimetype == "application/problem+json"
    token = token_of(client, "/keys")
    assert client.post("/keys", data=form, headers={"X-CSRFToken": token}).status_code == 201


def signed_in_again(app: Flask) -> FlaskClient:
    client = app.test_client()
    assert sign_in(client, make_key(app, name="second"))[0] == 303
    return client


def test_a_key_in_a_header_needs_no_token(app: Flask) -> None:
    response = app.test_client().post("/keys", data={"name": "x", "role": "viewer"}, headers=bearer(make_key(app)))
    assert response.status_code == 201


def test_every_form_that_changes_something_has_a_token() -> None:
    forms = [
        (path.name, form)
        for path in TEMPLATES.rglob("*.html")
        for form in re.findall(r"<form\b.*?</form>", path.read_text(encoding="utf-8"), re.DOTALL | re.IGNORECASE)
        if re.search(r"method=[\"']?post", form, re.IGNORECASE)
    ]
    assert len(forms) >= 3
    assert [name for name, form in forms if not re.search(r"csrf_field\(\)|csrf_token\(\)|_csrf.html", form)] == []


# -- the page of keys --------------------------------------------------------------------------------------------------


def make_by_form(client: FlaskClient, name: str, role: str) -> tuple[int, str]:
    form = {"name": name, "role": role, "csrf_token": token_of(client, "/keys")}
    response = client.post("/keys", data=form, headers=HTML)
    return response.status_code, response.text


def test_a_key_is_made_shown_once_and_revoked(app: Flask) -> None:
    client = signed_in(app)
    status, page = make_by_form(client, "Anna", "operator")
    assert status == 201
    (shown,) = {found.group() for found in text.PATTERN.finditer(page)}
    assert 'data-copy="#made"' in page
    assert app.test_client().post("/tasks/block", headers=bearer(shown)).status_code == 202
    listed = client.get("/keys", headers=HTML)
    assert "Anna" in listed.text and not text.PATTERN.search(listed.text)
    assert listed.headers["Cache-Control"] == "no-store"
    form = {"name": "Anna", "csrf_token": token_of(client, "/keys")}
    assert client.post("/keys/revoke", data=form).status_code == 303
    assert app.test_client().get("/tasks", headers=bearer(shown)).status_code == 401


@pytest.mark.parametrize(
    ("name", "role", "status", "words"),
    [
        ("", "viewer", 422, "1 to 100"),
        ("two\nlines", "viewer", 422, "1 to 100"),
        ("admin", "viewer", 409, "exists already"),
        ("x", "root", 422, "Choose one."),
        ("x", "", 422, "Choose one."),
    ],
)
def test_wrong_fields_are_said_beside_them(app: Flask, name: str, role: str, status: int, words: str) -> None:
    code, page = make_by_form(signed_in(app), name, role)
    assert code == status
    assert words in page and 'role="alert"' in page


def test_revoking_what_is_not_there(app: Flask) -> None:
    client = signed_in(app)
    form = {"name": "nobody", "csrf_token": token_of(client, "/keys")}
    response = client.post("/keys/revoke", data=form, headers=HTML)
    assert (response.status_code, response.mimetype) == (404, "text/html")


def test_names_stay_text(app: Flask) -> None:
    client = signed_in(app)
    name = "<script>alert(1)</script>\"'><img src=x>"
    assert name not in make_by_form(client, name, "viewer")[1]
    assert name not in client.get("/keys", headers=HTML).text


def test_the_first_key_made_in_the_open_is_an_admins(tmp_path: Path, migrated_sqlite: bytes) -> None:
    with embedded_app(tmp_path / "open", migrated_sqlite) as fresh:
        client = fresh.test_client()
        assert make_by_form(client, "me", "viewer")[0] == 422
        status, page = make_by_form(client, "me", "admin")
        assert status == 201 and "From now on everybody must sign in." in page
        assert client.get("/keys").status_code == 401


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_others_see_no_keys(app: Flask, role: Role) -> None:
    response = signed_in(app, role).get("/keys", headers=HTML)
    assert (response.status_code, response.mimetype) == (403, "text/html")
    assert "admin" in response.text


# -- errors ------------------------------------------------------------------------------------------------------------


def test_unknown_paths_are_pages_for_people(client: FlaskClient) -> None:
    for path in ("/nope", "/keys/nope", "/tasks/a/b/c"):
        page = client.get(path, headers=HTML)
        assert (page.status_code, page.mimetype) == (404, "text/html")
        assert client.get(path).mimetype == "application/problem+json"
    refused = client.delete("/keys", headers=HTML)
    assert (refused.status_code, refused.mimetype) == (405, "text/html")
    assert "GET" in refused.headers["Allow"]


def test_a_page_of_an_error_needs_no_visitor(app: Flask, client: FlaskClient) -> None:
    assert client.get("/nope", headers={**HTML, **bearer("wrong")}).status_code == 404
    Path(app.instance_path, "test.db").write_bytes(b"no database at all" * 1000)
    assert client.get("/nope", headers={**HTML, **bearer(f"taskapp_{'0' * 16}_{'0' * 64}")}).status_code == 404


def test_unknown_jobs_are_problems_of_the_api(app: Flask, client: FlaskClient) -> None:
    headers = {**HTML, **bearer(make_key(app))}
    for path in ("/tasks/nope", "/tasks/%C3%A4"):
        response = client.get(path, headers=headers)
        assert (response.status_code, response.mimetype) == (404, "application/problem+json")


def test_an_absent_database_is_a_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/test.db"
    app = create_app(settings_for(tmp_path, AUTH="required", SQLALCHEMY_DATABASE_URI=url))
    for path in ("/keys", "/sign-in"):
        response = app.test_client().get(path, headers={**HTML, **bearer(f"taskapp_{'0' * 16}_{'0' * 64}")})
        assert (response.status_code, response.mimetype) == (503, "text/html")
        assert response.headers["Retry-After"]
    dispose(app)


def test_a_form_that_comes_too_late_is_a_page_that_leads_to_the_sign_in(app: Flask) -> None:
    client = signed_in(app)
    with app.app_context():
        service.revoke("admin")
        app.extensions["keys"].forget()
    response = client.post("/keys", data={"name": "x"}, headers=HTML)
    assert (response.status_code, response.mimetype) == (401, "text/html")
    with app.test_request_context():
        assert f'href="{url_for("dashboard.sign_in")}"' in response.text
