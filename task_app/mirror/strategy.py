"""How a worker receives messages: Celery's own way, after messages of foreign producers got their rows."""

import logging
from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.strategy import default as celery_default
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ValueNotStorable
from ..jobs.runtime import JobRuntime
from . import adopt, in_row
from .intake import bell_of, intake
from .request import is_limit

logger = logging.getLogger(__name__)

#: What this service notes on a request while it runs. Celery would take it from the headers of a message.
KEPT_ON_REQUESTS = frozenset(
    {"blocked", "claimed", "given_back", "job_fenced", "job_result", "job_retry_cause", "reporter", "started_at"}
)


def default(task: Any, app: Any, consumer: Any, **kwargs: Any) -> Callable[..., Any]:
    """Build the handler of a task's messages (Celery's `Task.Strategy`)."""
    handle = celery_default(task, app, consumer, **kwargs)
    runtime: JobRuntime = app.flask_app.extensions["jobs"]

    def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **options: Any) -> Any:
        headers = message.headers or {}
        intake.note(headers)
        if bell := bell_of(headers):
            # On Redis the number was turned over for the wire, and `Task.retry` would send on what it finds here.
            message.properties["priority"] = bell.priority
        if "job_attempt" not in headers:
            headers.pop(in_row.HEADER, None)  # a foreign producer must not ask for the arguments of others
        if problem := _problem_with(headers):
            raise InvalidTaskError(problem)
        foreign = "job_attempt" not in headers and "id" in headers and body is None
        if foreign and _adopted_for_later(runtime, app, message):
            message.ack_log_error(logger, consumer.connection_errors)
            return None
        return handle(message, body, ack, reject, callbacks, **options)

    return on_message


def _problem_with(headers: dict[str, Any]) -> str | None:
    """Say why a message would take the worker down with it, or None."""
    if ours := KEPT_ON_REQUESTS.intersection(headers):
        return f"no message may say {', '.join(sorted(ours))}"
    if "id" in headers and not adopt.is_possible_id(headers["id"]):
        return "its id is impossible"
    for limit in headers.get("timelimit") or ():
        if limit is not None and not is_limit(limit):
            return f"its time limit is no number of seconds: {limit!r}"
    return None


def _adopted_for_later(runtime: JobRuntime, app: Any, message: Any) -> bool:
    """Make the row; say whether the job waits in the table from now on, so that the message isn't needed."""
    try:
        with runtime.engine.connect() as connection:
            return adopt.from_message(connection, app, message) is not None
    except (SQLAlchemyError, ValueNotStorable) as error:
        # The claim will try again, or fail the job with the reason.
        logger.warning("could not adopt %s yet: %s", message.headers.get("id"), str(error).splitlines()[0])
        return False
