"""The human door: pages that show every job and steer it.

Server-rendered; a page works without JavaScript, and with it is live. See docs/dashboard.md.
"""

from flask import Flask

from . import csrf, edit, errors, keys, live, looks, new, overview, sign_in
from .blueprint import blueprint

__all__ = ["edit", "init_app", "keys", "live", "looks", "new", "overview", "sign_in"]


def init_app(app: Flask) -> None:
    """Serve the pages."""
    csrf.init_app(app)
    errors.init_app(app)
    app.register_blueprint(blueprint)
