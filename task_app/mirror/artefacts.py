"""`save_artefact`: a running task keeps a file that it has made."""

from pathlib import Path
from typing import BinaryIO

from celery import current_task

from ..errors import NotInJob
from ..files import artefacts
from ..files.removing import give_up
from .patience import insist
from .request import attempt_of, claim_of


def save_artefact(name: str, data: bytes | Path | BinaryIO, type: str | None = None) -> str:  # noqa: A002 - plain word
    """Keep a file that the running task has made, and return its id. The job's readers see it at once.

    Another one of this name in the same job takes the place of the first, so that an attempt that runs again leaves no
    second copy. `type` is a media type; if none is given, what the name suggests.

    On SQLite, not while `db.session` has written and not committed (SessionHoldsLock).
    Raises NotInJob outside a job, JobCancelled in an attempt that was given up, FileTooLarge, and FilesUnavailable.
    """
    request = current_task.request if current_task else None
    if request is None or request.called_directly or request.is_eager or request.id is None:
        raise NotInJob("save_artefact needs a running job: call it within a task that a worker runs")
    arrival = artefacts.receive_for(request.id, data, name, type)
    attempt, claimed_at = attempt_of(request), claim_of(request)
    try:
        insist(lambda: artefacts.keep(arrival, request.id, attempt, claimed_at), f"an artefact of {request.id}")
    except BaseException:
        give_up(arrival.id)
        raise
    return arrival.id
