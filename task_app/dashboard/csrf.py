"""Tokens in forms: besides what browsers say of where a request comes from, a form must have come from a page of ours.

Templates write `<input type="hidden" name="csrf_token" value="{{ csrf_token() }}">`; scripts may send `X-CSRFToken`.
"""

from flask import Flask, current_app
from flask_wtf.csrf import CSRFError, CSRFProtect

from ..web.access import visitor_if_any

__all__ = ["CSRFError", "init_app", "refuse_foreign_forms"]

_protect = CSRFProtect()


def init_app(app: Flask) -> None:
    """Make `csrf_token` known to templates."""
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False  # the API has keys; `refuse_foreign_forms` is for pages
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a form may stay open for as long as its session
    app.config["WTF_CSRF_SSL_STRICT"] = False  # the guard has looked at the origin
    _protect.init_app(app)


def refuse_foreign_forms() -> None:
    """Raise CSRFError for a form without its token. Who sends a key in a header needs none: no browser does by itself.

    Comes after the guard, and looks at POST, PUT, PATCH and DELETE only.
    """
    found = visitor_if_any()
    if current_app.config["WTF_CSRF_ENABLED"] and (found is None or found.how != "key"):
        _protect.protect()
