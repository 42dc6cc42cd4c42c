"""Keys: who may use the service, and as what. For admins."""

import logging
from contextlib import suppress
from typing import Any

from flask import Response, flash, make_response, redirect, render_template, request, url_for

from ..errors import InvalidKeyName, KeyExists, KeyNotFound, TaskAppError
from ..keys import service
from ..keys.roles import Role
from ..mirror.storable import is_storable
from ..web.access import known_keys, needs, visitor
from ..web.problems import status_of
from .blueprint import blueprint

logger = logging.getLogger(__name__)


@blueprint.route("/keys")
@needs(Role.ADMIN)
def keys() -> Response:
    """List keys, and ask for a new one."""
    return _page()


@blueprint.route("/keys", methods=["POST"])
@needs(Role.ADMIN)
def create_key() -> Response:
    """Make a key and show it, this once: on the answer itself, because a redirect would have to carry it along."""
    name, role = request.form.get("name", ""), _role(request.form.get("role", ""))
    was_open = visitor().how == "open"
    if role is None:
        return _page(422, errors={"role": "Choose one."})
    if was_open and role is not Role.ADMIN:
        return _page(422, errors={"role": "The first key must be an admin's: from then on everybody must sign in."})
    try:
        key, text = service.create(name, role)
    except (InvalidKeyName, KeyExists) as error:
        return _page(status_of(error), errors={"name": _sentence(error)})
    known_keys().forget()
    logger.info("%s made the key %s (%s)", visitor().name or "somebody", key.name, key.role)
    return _page(201, made=key, text=text, was_open=was_open)


@blueprint.route("/keys/revoke", methods=["POST"])
@needs(Role.ADMIN)
def revoke_key() -> Response:
    """End a key for good."""
    name = request.form.get("name", "")
    if not is_storable(name):
        raise KeyNotFound(name)
    key = service.revoke(name)
    known_keys().forget()
    logger.info("%s revoked the key %s", visitor().name or "somebody", key.name)
    flash(f"The key {key.name} is revoked.")
    return redirect(url_for("dashboard.keys"), 303)  # type: ignore[return-value]


def _page(status: int = 200, **shown: Any) -> Response:
    page = render_template("dashboard/keys.html", keys=service.everyone(), roles=list(Role), form=request.form, **shown)
    return make_response(page, status)


def _role(word: str) -> Role | None:
    with suppress(ValueError):
        return Role(word)
    return None


def _sentence(error: TaskAppError) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
