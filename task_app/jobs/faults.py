"""Errors as the job table keeps them: a dict of type, module, args, message and traceback.

Type, module and args are what Celery needs to build the exception again for `AsyncResult.get()`; message and
traceback are what people read.
"""

from typing import Any

#: Longer texts are cut: an error must always fit into its row.
TEXT_LIMIT = 64_000


def fault(kind: str, module: str, args: list[Any], message: str, traceback: str | None = None) -> dict[str, Any]:
    """Build the dict."""
    return {
        "type": kind,
        "module": module,
        "args": args,
        "message": shorten(message),
        "traceback": None if traceback is None else shorten(traceback),
    }


def revoked(reason: str) -> dict[str, Any]:
    """Say why a job was revoked."""
    return fault("TaskRevokedError", "celery.exceptions", [reason], reason)


def worker_lost(reason: str) -> dict[str, Any]:
    """Say how an attempt was lost with its worker."""
    return fault("WorkerLostError", "billiard.exceptions", [reason], reason)


def shorten(text: str) -> str:
    """Cut the middle out of a text over the limit: the beginning and the end of a traceback tell most."""
    if len(text) <= TEXT_LIMIT:
        return text
    half = TEXT_LIMIT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
