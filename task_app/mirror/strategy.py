"""How a worker receives messages: Celery's own way, after messages of foreign producers got their rows."""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.strategy import default as celery_default
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ValueNotStorable
from ..jobs.runtime import JobRuntime
from . import adopt

logger = logging.getLogger(__name__)


def default(task: Any, app: Any, consumer: Any, **kwargs: Any) -> Callable[..., Any]:
    """Build the handler of a task's messages (Celery's `Task.Strategy`)."""
    handle = celery_default(task, app, consumer, **kwargs)
    runtime: JobRuntime = app.flask_app.extensions["jobs"]

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **options: Any) -> Any:
        headers = message.headers or {}
        foreign = "job_attempt" not in headers and "id" in headers and body is None
        if foreign and _adopted_for_later(runtime, app, message):
            message.ack_log_error(logger, consumer.connection_errors)
            return None
        return handle(message, body, ack, reject, callbacks, **options)

    return on_message


def _adopted_for_later(runtime: JobRuntime, app: Any, message: Any) -> bool:
    """Make the row; say whether the job waits in the table from now on, so that the message isn't needed."""
    try:
        with runtime.engine.connect() as connection:
            return adopt.from_message(connection, app, message) is not None
    except (SQLAlchemyError, ValueNotStorable) as error:
        # The claim will try again, or fail the job with the reason.
        logger.warning("could not adopt %s yet: %s", message.headers.get("id"), str(error).splitlines()[0])
        return False
