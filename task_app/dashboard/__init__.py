"""The human door: pages that show every job and steer it.

Server-rendered; a page works without JavaScript, and with it is live. See docs/dashboard.md.
"""

from flask import Flask

from . import (
    actions,
    csrf,
    edit,
    errors,
    failures,
    frame,
    job,
    jobs,
    keys,
    live,
    looks,
    new,
    overview,
    queues,
    sign_in,
    steer,
    workers,
)
from .blueprint import blueprint

__all__ = [
    "actions",
    "edit",
    "failures",
    "frame",
    "init_app",
    "job",
    "jobs",
    "keys",
    "live",
    "looks",
    "new",
    "overview",
    "queues",
    "sign_in",
    "steer",
    "workers",
]


def init_app(app: Flask) -> None:
    """Serve the pages."""
    csrf.init_app(app)
    errors.init_app(app)
    app.register_blueprint(blueprint)
