"""Who may come in: every route of the app, every mode, and every way to say who one is."""

import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from task_app.jobs.runtime import utcnow
from task_app.keys import service
from task_app.keys.roles import Role

from ..keys import bearer, embedded_app, make_key, serving, signed_in
from .test_api_fuzz import path_of

#: The routes that ask nobody, and those that ask for another role than their method would.
OPEN = {"health.healthz", "health.readyz", "dashboard.sign_in", "dashboard.static"}
ADMINS = {
    "tasks.delete",
    "tasks.delete_file",
    "dashboard.delete",
    "dashboard.keys",
    "dashboard.create_key",
    "dashboard.revoke_key",
}
OTHERS = {
    "classic.run_task": Role.OPERATOR,
    "dashboard.edit": Role.OPERATOR,
    "dashboard.new": Role.OPERATOR,
    "dashboard.new_task": Role.OPERATOR,
    "dashboard.sign_out": Role.VIEWER,
}


@pytest.fixture
def closed(tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Flask]:
    """An app that asks everybody for a key."""
    with serving(tmp_path, migrated_sqlite) as app:
        yield app


@pytest.fixture
def fresh(tmp_path: Path, migrated_sqlite: bytes) -> Iterator[Flask]:
    """An app as after the first `make run`."""
    with embedded_app(tmp_path / "fresh", migrated_sqlite) as app:
        yield app


def needed(rule: Rule, method: str) -> Role:
    """Say what a request should need, in other words than the app's."""
    if method == "OPTIONS":
        return Role.VIEWER
    if rule.endpoint in ADMINS:
        return Role.ADMIN
    return OTHERS.get(rule.endpoint, Role.VIEWER if method in ("GET", "HEAD") else Role.OPERATOR)


def requests_of(app: Flask) -> list[tuple[Rule, str]]:
    return [(rule, method) for rule in app.url_map.iter_rules() for method in sorted(rule.methods or ())]


def status(client: FlaskClient, rule: Rule, method: str, **request: Any) -> int:
    with client.open(path_of(rule, "x"), method=method, **request) as response:
        code: int = response.status_code
        if code == 401:
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            if method != "HEAD":
                assert response.mimetype == "application/problem+json"
        return code


def test_nobody_comes_in_without_a_key_but_where_it_is_open_to_all(closed: Flask) -> None:
    client = closed.test_client()
    let_in = {rule.endpoint for rule, method in requests_of(closed) if status(client, rule, method) != 401}
    assert let_in == OPEN


def test_every_route_asks_for_its_role(closed: Flask) -> None:
    headers = {role: bearer(make_key(closed, role)) for role in Role}
    client, wrong = closed.test_client(), []
    seen = set()
    for rule, method in requests_of(closed):
        if rule.endpoint in OPEN:
            continue
        seen.add(needed(rule, method))
        for role in Role:
            refused = status(client, rule, method, headers=headers[role]) == 403
            if refused != (role < needed(rule, method)):
                wrong.append((rule.rule, method, role))
    assert wrong == []
    assert seen == set(Role)


def test_only_an_admin_deletes_many_jobs(closed: Flask) -> None:
    client = closed.test_client()

    def answer(action: str, role: Role) -> int:
        body = {"action": action, "filter": {"status": "FAILURE"}}
        return client.post("/task-actions", json=body, headers=headers[role]).status_code

    headers = {role: bearer(make_key(closed, role)) for role in Role}
    assert [answer("delete", role) for role in sorted(Role)] == [403, 403, 200]
    assert [answer("retry", role) for role in sorted(Role)] == [403, 200, 200]


def test_every_blueprint_is_guarded(closed: Flask) -> None:
    assert {rule.endpoint.partition(".")[0] for rule in closed.url_map.iter_rules()} <= set(closed.blueprints)
    assert all(closed.before_request_funcs.get(name) for name in closed.blueprints)


# -- keys in headers ---------------------------------------------------------------------------------------------------


def test_a_key_in_the_header_opens(closed: Flask) -> None:
    client, text = closed.test_client(), make_key(closed, Role.OPERATOR)
    for header in (f"Bearer {text}", f"bearer {text}", f"BEARER   {text} "):
        assert client.get("/tasks", headers={"Authorization": header}).status_code == 200
    assert client.post("/tasks/block", headers=bearer(text)).status_code == 202
    with closed.app_context():
        (key,) = service.everyone()
    assert key.used_at is not None


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {text}", "{text}", "Bearer {text}x", "Bearer {text} x", "\xff"],
)
def test_a_malformed_header_is_refused(closed: Flask, header: str) -> None:
    text = make_key(closed)
    response = closed.test_client().get("/tasks", headers={"Authorization": header.format(text=text)})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.mimetype == "application/problem+json"


def test_a_wrong_key_is_refused_where_none_would_do(fresh: Flask) -> None:
    client = fresh.test_client()
    assert client.get("/tasks").status_code == 200
    assert client.get("/tasks", headers=bearer("wrong")).status_code == 401


def test_a_revoked_key_is_refused_within_a_second(closed: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    client, text = closed.test_client(), make_key(closed, Role.VIEWER)
    assert client.get("/tasks", headers=bearer(text)).status_code == 200
    with closed.app_context():
        service.revoke("viewer")  # by another process: this one has no word of it
    now = time.monotonic()
    monkeypatch.setattr("task_app.keys.memory.time.monotonic", lambda: now + 1.0)
    assert client.get("/tasks", headers=bearer(text)).status_code == 401


# -- the modes ---------------------------------------------------------------------------------------------------------


def test_a_fresh_service_is_open_on_its_machine(fresh: Flask) -> None:
    client = fresh.test_client()
    for host in ("localhost", "localhost:5000", "LOCALHOST:5000", "127.0.0.1:5000", "[::1]:5000"):
        assert client.get("/tasks", headers={"Host": host}).status_code == 200, host
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert client.get("/tasks", environ_overrides={"REMOTE_ADDR": address}).status_code == 200, address
    assert client.delete("/tasks/x").status_code == 404  # as an admin


@pytest.mark.parametrize(
    "header",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:5000"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost:5000@evil.example"},
        {"Host": "192.168.0.7:5000"},
        {"Host": "127.0.0.1:"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Forwarded": "for=192.0.2.1"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"CF-Connecting-IP": "127.0.0.1"},
    ],
    ids=lambda header: ": ".join(*header.items()),
)
def test_a_fresh_service_is_closed_to_what_may_come_from_elsewhere(fresh: Flask, header: dict[str, str]) -> None:
    assert fresh.test_client().get("/tasks", headers=header).status_code == 401


@pytest.mark.parametrize(
    "address", ["192.168.0.7", "10.0.0.1", "203.0.113.5", "fe80::1", "::ffff:192.168.0.7", "", None]
)
def test_a_fresh_service_is_closed_to_other_machines(fresh: Flask, address: str | None) -> None:
    overrides = {"REMOTE_ADDR": address}
    assert fresh.test_client().get("/tasks", environ_overrides=overrides).status_code == 401


def test_the_first_key_closes_a_service(fresh: Flask) -> None:
    client = fresh.test_client()
    assert client.get("/tasks").status_code == 200
    text = make_key(fresh, Role.VIEWER)
    assert client.get("/tasks").status_code == 401
    assert client.get("/tasks", headers=bearer(text)).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"AUTH": "required"},
        {"SQLALCHEMY_DATABASE_URI": "sqlite:///task_app.db"},
        {"CELERY_BROKER_URL": "redis://127.0.0.1:1/0"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_is_not_embedded_is_never_open(tmp_path: Path, migrated_sqlite: bytes, settings: dict[str, str]) -> None:
    with embedded_app(tmp_path, migrated_sqlite, **settings) as app:
        assert app.test_client().get("/tasks").status_code == 401


def test_off_asks_nobody(tmp_path: Path, migrated_sqlite: bytes) -> None:
    with serving(tmp_path, migrated_sqlite, AUTH="off") as app:
        client = app.test_client()
        make_key(app)
        stranger = {"Host": "evil.example", "Authorization": "Bearer wrong"}
        response = client.delete("/tasks/x", headers=stranger, environ_overrides={"REMOTE_ADDR": "192.0.2.1"})
        assert response.status_code == 404


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_a_session_opens_pages_and_the_api(closed: Flask) -> None:
    client = signed_in(closed, Role.OPERATOR)
    assert client.get("/").status_code == 200
    assert client.get("/tasks").status_code == 200
    assert client.post("/tasks/block").status_code == 202
    assert client.delete("/tasks/x").status_code == 403


def test_a_session_ends_with_its_key(closed: Flask) -> None:
    client = signed_in(closed, Role.VIEWER)
    with closed.app_context():
        service.revoke("viewer")
        closed.extensions["keys"].forget()
        assert client.get("/tasks").status_code == 401
        service.create("viewer", Role.ADMIN)  # the revoked one goes from the table
        closed.extensions["keys"].forget()
    assert client.get("/tasks").status_code == 401


def test_a_session_ends_after_its_time_whatever_is_written_to_it(
    closed: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(closed)
    monkeypatch.setattr("task_app.web.access.utcnow", lambda: utcnow() + timedelta(hours=11.9))
    assert client.get("/keys").status_code == 200  # writes the token of its forms
    monkeypatch.setattr("task_app.web.access.utcnow", lambda: utcnow() + timedelta(hours=12.1))
    assert client.get("/keys").status_code == 401


def test_a_cookie_of_another_service_opens_nothing(closed: Flask, tmp_path: Path, migrated_sqlite: bytes) -> None:
    cookie = signed_in(closed).get_cookie("task_app")
    assert cookie is not None
    folder = tmp_path / "other"
    folder.mkdir()
    with serving(folder, (tmp_path / "test.db").read_bytes(), SECRET_KEY="another") as other:
        client = other.test_client()
        client.set_cookie("task_app", cookie.value)
        assert client.get("/tasks").status_code == 401


# -- pages of other sites ----------------------------------------------------------------------------------------------

FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "http://localhost:1"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
]
OWN = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST"},
]


@pytest.mark.parametrize("header", FOREIGN, ids=str)
@pytest.mark.parametrize("how", ["open", "session", "off"])
def test_what_other_sites_send_is_refused(
    tmp_path: Path, migrated_sqlite: bytes, header: dict[str, str], how: str
) -> None:
    with embedded_app(tmp_path, migrated_sqlite, AUTH="off" if how == "off" else "auto") as app:
        client = signed_in(app) if how == "session" and make_key(app, name="first") else app.test_client()
        for method, path in (("POST", "/tasks/block"), ("DELETE", "/tasks/x"), ("GET", "/run-task")):
            response = client.open(path, method=method, headers=header)
            assert response.status_code == 403, (method, path)
        assert client.get("/tasks", headers=header).get_json()["tasks"] == []


@pytest.mark.parametrize("header", OWN, ids=str)
def test_what_our_pages_and_programs_send_is_not(fresh: Flask, header: dict[str, str]) -> None:
    client = fresh.test_client()
    assert client.post("/tasks/block", headers=header).status_code == 202
    assert client.get("/run-task", headers=header).status_code == 200


@pytest.mark.parametrize("header", FOREIGN, ids=str)
def test_a_key_in_a_header_is_never_sent_by_a_page_of_another_site(closed: Flask, header: dict[str, str]) -> None:
    response = closed.test_client().post("/tasks/block", headers={**header, **bearer(make_key(closed))})
    assert response.status_code == 202


def test_another_site_can_not_sign_somebody_in(closed: Flask) -> None:
    response = closed.test_client().post("/sign-in", data={"key": "x"}, headers={"Origin": "http://evil.example"})
    assert response.status_code == 403


# -- proxies -----------------------------------------------------------------------------------------------------------


def seen_through(app: Flask, **headers: str) -> tuple[str, str, str]:
    """Return the client's address, the scheme and the host as the app sees them."""
    seen = []

    def look() -> None:
        from flask import request

        seen.append((request.remote_addr or "", request.scheme, request.host))

    app.before_request_funcs.setdefault("health", []).insert(0, look)
    app.test_client().get("/healthz", headers=headers)
    return seen[0]


FORWARDED = {"X_Forwarded_For": "6.6.6.6, 192.0.2.1", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "jobs.example"}


@pytest.mark.parametrize(
    ("proxies", "seen"),
    [(0, ("127.0.0.1", "http", "localhost")), (1, ("192.0.2.1", "https", "jobs.example"))],
)
def test_forwarding_headers_count_where_proxies_are_trusted(
    tmp_path: Path, migrated_sqlite: bytes, proxies: int, seen: tuple[str, str, str]
) -> None:
    headers = {name.replace("_", "-"): value for name, value in FORWARDED.items()}
    with serving(tmp_path, migrated_sqlite, TRUSTED_PROXIES=proxies) as app:
        assert seen_through(app, **headers) == seen


def test_a_trusted_proxy_opens_nothing(tmp_path: Path, migrated_sqlite: bytes) -> None:
    with embedded_app(tmp_path, migrated_sqlite, TRUSTED_PROXIES=1) as app:
        client = app.test_client()
        assert client.get("/tasks").status_code == 200
        headers = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}
        assert client.get("/tasks", headers=headers).status_code == 401


# -- streams -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["key", "session", "open"])
def test_a_stream_ends_when_its_reader_is_no_longer_welcome(
    tmp_path: Path, migrated_sqlite: bytes, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("task_app.web.streams.HEARTBEAT", 0.01)
    with embedded_app(tmp_path, migrated_sqlite) as app:
        job_id = app.test_client().post("/tasks/block").get_json()["task_id"]
        client = signed_in(app) if how == "session" and make_key(app, name="first") else app.test_client()
        headers = bearer(make_key(app)) if how == "key" else {}
        response = client.get(f"/tasks/{job_id}/events", headers=headers)
        chunks = iter(response.response)
        assert [next(chunks) for _ in range(3)]
        if how == "open":
            make_key(app)
        else:
            with app.app_context():
                service.revoke("admin")
                app.extensions["keys"].forget()
        assert len(list(islice(chunks, 50))) < 50
        response.close()
