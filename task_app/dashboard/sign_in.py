"""Signing in with a key, and out."""

import logging

from flask import Response, flash, make_response, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from ..keys import service
from ..keys.roles import Role
from ..web.access import known_keys, needs, visitor_if_any
from ..web.access import sign_in as begin_session
from ..web.announcing import MAKE_A_KEY
from ..web.attempts import attempts
from .blueprint import blueprint
from .links import own_path

logger = logging.getLogger(__name__)


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for a key; begin a session with it."""
    if visitor_if_any() is not None:
        return redirect(_next(), 303)
    if request.method != "POST":
        return _form()
    if wait := attempts().wait(request.remote_addr):
        response = _form(f"Too many failed attempts. Try again in {wait} seconds.", 429)
        response.headers["Retry-After"] = str(wait)
        return response
    key = service.find(request.form.get("key", "").strip(), known_keys().get)
    if key is None:
        attempts().failed(request.remote_addr)
        logger.warning("a sign-in from %s failed", request.remote_addr)
        return _form("This key opens nothing: it is wrong, or was revoked.", 403)
    begin_session(key)
    logger.info("%s signed in from %s", key.name, request.remote_addr)
    return redirect(_next(), 303)


@blueprint.route("/sign-out", methods=["POST"])
@needs(Role.VIEWER)
def sign_out() -> Response:
    """End the session."""
    session.clear()
    flash("You are signed out.")
    return redirect(url_for("dashboard.sign_in"), 303)  # type: ignore[return-value]


def _form(error: str | None = None, status: int = 200) -> Response:
    make_a_key = None if known_keys().any_live() else MAKE_A_KEY
    return make_response(
        render_template("dashboard/sign_in.html", error=error, next=_next(), make_a_key=make_a_key), status
    )


def _next() -> str:
    """Return where to go afterwards: never to another site."""
    return own_path(request.values.get("next")) or url_for("dashboard.overview")
