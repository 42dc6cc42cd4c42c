"""A token that is the same in every attempt of a job."""

from uuid import UUID, uuid5

from celery import current_app

_NAMESPACE = UUID("c71f6827-ea68-43f9-8488-3cd0ea88a434")


def idempotency_token(purpose: str = "") -> str:
    """Return a UUID that follows from the running job's id and a purpose: the same in every attempt and every retry.

    For what must not be done twice although the task may run twice: the idempotency key of a payment service, a unique
    column, the id of a job that this one sends. Give each of several such things in one task a purpose of its own.
    Raises RuntimeError outside of a job.
    """
    running = current_app.current_worker_task  # not a task that this one calls as a function
    if running is None:
        raise RuntimeError("idempotency_token is for a task that runs as a job; there is none here")
    return str(uuid5(_NAMESPACE, f"{running.request.id} {purpose}"))
