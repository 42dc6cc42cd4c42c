"""A job as JSON, the same at every door."""

from datetime import datetime
from typing import Any

from .view import JobView, timestamp


def document(job: JobView, now: datetime) -> dict[str, Any]:
    """Return what is shown of a job. A plain function, not a schema: lists and streams write many jobs."""
    return {
        "task_id": job.id,
        "task_status": job.state,
        "task_result": job.result,
        "task": job.task,
        "args": job.args,
        "kwargs": job.kwargs,
        "queue": job.queue,
        "priority": job.priority,
        "progress": job.progress,
        "meta": job.meta,
        "error": job.error,
        "attempt": job.attempt,
        "retries": job.retries,
        "history": job.history,
        "waiting_for": job.waiting_for(now),
        "worker": job.worker,
        "parent_id": job.parent_id,
        "root_id": job.root_id,
        "group_id": job.group_id,
        "tags": job.tags,
        **job.options,
        "created_at": timestamp(job.created_at),
        "due_at": timestamp(job.due_at),
        "expires_at": timestamp(job.expires_at),
        "published_at": timestamp(job.published_at),
        "started_at": timestamp(job.started_at),
        "finished_at": timestamp(job.finished_at),
        "cancel_requested_at": timestamp(job.cancel_requested_at),
        "resolved_at": timestamp(job.resolved_at),
    }
