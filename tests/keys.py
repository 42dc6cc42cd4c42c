"""Keys for tests of who may come in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

from task_app import create_app, embedded
from task_app.keys import service
from task_app.keys.roles import Role

from .conftest import dispose, settings_for


def make_key(app: Flask, role: Role = Role.ADMIN, name: str | None = None) -> str:
    """Return the text of a new key, named by its role if not otherwise."""
    with app.app_context():
        text = service.create(name or role.value, role)[1]
        app.extensions["keys"].forget()
        return text


def bearer(text: str) -> dict[str, str]:
    """Return the header in which programs send a key."""
    return {"Authorization": f"Bearer {text}"}


def signed_in(app: Flask, role: Role = Role.ADMIN) -> FlaskClient:
    """Return a client with the session of a new key."""
    client = app.test_client()
    form = {"key": make_key(app, role), "csrf_token": token_of(client)}
    assert client.post("/sign-in", data=form).status_code == 303
    return client


def token_of(client: FlaskClient, page: str = "/sign-in") -> str:
    """Return the token that a form on a page carries."""
    text = client.get(page, headers={"Accept": "text/html"}).text
    return text.split('name="csrf_token" value="')[1].split('"')[0]


@contextmanager
def serving(folder: Path, database: bytes, **settings: Any) -> Iterator[Flask]:
    """Yield an app as it is outside of tests: it asks for keys, and for tokens in forms."""
    (folder / "test.db").write_bytes(database)
    app = create_app(settings_for(folder, **{"AUTH": "required", "WTF_CSRF_ENABLED": True, **settings}))
    try:
        yield app
    finally:
        dispose(app)


@contextmanager
def embedded_app(folder: Path, database: bytes, **settings: Any) -> Iterator[Flask]:
    """Yield an app whose broker and database are embedded, and that is open to this machine."""
    folder.mkdir(exist_ok=True)
    (folder / "task_app.db").write_bytes(database)
    ours = {"AUTH": "auto", "SQLALCHEMY_DATABASE_URI": None, "CELERY_BROKER_URL": None}
    with serving(folder, database, **(ours | settings)) as app:
        try:
            yield app
        finally:
            embedded.stop(app.instance_path)  # whoever submits a job has started it
