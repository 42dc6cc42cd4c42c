"""`AsyncResult.revoke()`, `app.control.revoke()` and `celery control revoke` are facts in the table.

Celery's own revoke is a broadcast: a worker that is not there never hears it, and one that restarts has forgotten it.
"""

import logging
from typing import Any

from celery.app.control import Control
from flask import Flask
from kombu.utils.functional import maybe_list

from ..context import app_context
from ..errors import IllegalMove, JobNotFound
from ..jobs import service

logger = logging.getLogger(__name__)


class JobControl(Control):
    """Celery's remote control, with a durable revoke."""

    def broadcast(self, command: str, arguments: dict[str, Any] | None = None, *args: Any, **kwargs: Any) -> Any:
        """Send a command to the workers; `revoke` goes to the table instead, and to workers for ids without a row.

        As in Celery, a job that runs already goes on unless `terminate` is true; then it is asked to end, and is
        terminated after `CANCEL_GRACE` seconds.
        """
        if command != "revoke":
            return super().broadcast(command, arguments, *args, **kwargs)
        arguments = dict(arguments or {})
        said, unknown = self._cancel(maybe_list(arguments.get("task_id")) or [], bool(arguments.get("terminate")))
        replies = [{"job table": {"ok": said}}] if said else []
        if unknown:
            # The message of a foreign producer may not have been seen yet.
            replies += super().broadcast(command, {**arguments, "task_id": unknown}, *args, **kwargs) or []
        return replies or None

    def _cancel(self, job_ids: list[str], terminate: bool) -> tuple[str, list[str]]:
        app: Flask = self.app.flask_app
        said, unknown = [], []
        with app_context(app):
            for job_id in job_ids:
                try:
                    job = service.cancel(job_id, running_too=terminate)
                    said.append(f"{job_id} is {job.state}")
                except JobNotFound:
                    unknown.append(job_id)
                except IllegalMove as refusal:
                    said.append(str(refusal))
        return ", ".join(said), unknown
