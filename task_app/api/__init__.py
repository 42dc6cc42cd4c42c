"""The HTTP door: submit, read and steer jobs.

| file | holds |
|---|---|
| `submit`, `read`, `reason`, `failures`, `stats`, `steer`, `actions`, `queues` | the routes of the blueprint `tasks` |
| `files` | /files |
| `health` | /healthz and /readyz |
| `docs`, `docs_page` | /openapi.json and /docs |
| `classic` | the routes of the well-known tutorials |
| `blueprint`, `body`, `guards` | how requests are read, and which are turned away first |
| `schemas`, `cursor`, `job` | what comes in; what goes out |
| `watch`, `stream` | waiting for a job; its events |
"""

from flask import Flask

from . import actions, classic, docs, failures, files, health, queues, read, reason, stats, steer, submit
from .blueprint import blueprint

__all__ = ["actions", "failures", "files", "init_app", "queues", "read", "reason", "stats", "steer", "submit"]


def init_app(app: Flask) -> None:
    """Plug the routes and their documentation into the app."""
    health.init_app(app)
    api = docs.init_app(app)
    api.register_blueprint(blueprint)
    api.register_blueprint(health.blueprint)
    if app.config["CLASSIC_ROUTES"]:
        classic.init_app(app)
