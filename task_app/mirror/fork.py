"""Database connections don't survive a fork: a pool child makes its own."""

from celery import signals
from flask import Flask
from sqlalchemy import Engine, Pool

from ..extensions import db
from ..jobs.service import JobRuntime

#: The parent's pools. Dropping them would close connections that the parent still uses.
_inherited: list[Pool] = []


def init_app(app: Flask) -> None:
    """Let every child of this app's workers start with empty pools."""

    def forget_connections(**kwargs: object) -> None:
        runtime: JobRuntime = app.extensions["jobs"]
        with app.app_context():
            engines: list[Engine] = [runtime.engine, *db.engines.values()]
        for engine in engines:
            _inherited.append(engine.pool)
            engine.dispose(close=False)

    signals.worker_process_init.connect(forget_connections, weak=False)
