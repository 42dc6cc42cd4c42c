"""The kernel: what a job is, how it moves, who may read it. It knows neither HTTP nor Celery."""

from datetime import timedelta

from flask import Flask

from ..extensions import db
from .database import kernel_engine, prepare
from .feed import Feed
from .lookout import Lookout
from .marks import Marks
from .runtime import JobRuntime
from .workers import Watch


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
        watch=Watch(
            interval=timedelta(seconds=app.config["HEARTBEAT_INTERVAL"]),
            timeout=timedelta(seconds=app.config["WORKER_TIMEOUT"]),
            patience=timedelta(seconds=app.config["DEAF_AFTER"]),
            lost_after=timedelta(seconds=app.config["LOST_MESSAGE_AFTER"]),
            cancel_grace=timedelta(seconds=app.config["CANCEL_GRACE"]),
        ),
    )
