"""The human door: pages that show every job and steer it.

Server-rendered; a page works without JavaScript, and with it is live. See docs/dashboard.md.
"""

from flask import Flask

from . import live, looks, overview
from .blueprint import blueprint

__all__ = ["init_app", "live", "looks", "overview"]


def init_app(app: Flask) -> None:
    """Serve the pages."""
    app.register_blueprint(blueprint)
