"""The kernel: what a job is, how it moves, who may read it. It knows neither HTTP nor Celery."""

from datetime import timedelta

from flask import Flask

from ..extensions import db
from .database import kernel_engine, prepare
from .feed import Feed
from .lookout import Lookout
from .marks import Marks
from .runtime import JobRuntime


def init_app(app: Flask) -> None:
    """Give the app its kernel, under `app.extensions["jobs"]`. Connects to nothing yet; comes after `db.init_app`."""
    with app.app_context():
        prepare(db.engine)
    engine = kernel_engine(app.config["SQLALCHEMY_DATABASE_URI"])
    app.extensions["jobs"] = JobRuntime(
        engine=engine,
        marks=Marks(engine),
        feed=Feed(engine),
        lookout=Lookout(engine),
        arguments_limit=app.config["JOB_ARGUMENTS_LIMIT"],
        dispatch_grace=timedelta(seconds=app.config["DISPATCH_GRACE"]),
        heartbeat_interval=timedelta(seconds=app.config["HEARTBEAT_INTERVAL"]),
    )
