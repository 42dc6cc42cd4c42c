"""The factory of the app."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from . import api, cli, dashboard, files, jobs, maintenance, sessions, startup, tasks, web
from . import config as settings
from .celery_app import celery_init_app
from .extensions import db, migrate

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"


@startup.command_errors()
def create_app(config: Mapping[str, Any] | None = None, *, environment: bool = True) -> Flask:
    """Build the app. `config` wins over every other source of settings; without `environment`, that is no source.

    Starts and connects to nothing; `startup` does, when a process is about to work.
    Raises ConfigurationError, in one line, for a setting that can't be right.
    """
    folder = settings.instance_path(config, environment=environment)
    app = Flask(__package__, instance_path=folder, instance_relative_config=True, static_folder=None)
    settings.load(app, config, environment=environment)

    sessions.init_app(app)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(MIGRATIONS))
    jobs.init_app(app)
    files.init_app(app)
    celery_init_app(app)

    tasks.init_app(app)
    maintenance.init_app(app)
    web.init_app(app)
    api.init_app(app)
    dashboard.init_app(app)
    cli.init_app(app)
    startup.init_app(app)  # last: under some commands it starts the process at once
    return app
