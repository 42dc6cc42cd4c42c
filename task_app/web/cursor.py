"""Opaque cursors: where a page of jobs ended. Their content is no promise."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from ..jobs.lists import Place
from .ids import is_possible_id

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 400


def encode(place: Place) -> str:
    """Return the cursor for the time and id of a job."""
    created_at, job_id = place
    text = f"{(created_at - _EPOCH) // timedelta(microseconds=1)}.{job_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """Return the time and id in a cursor. Raises ValueError for what can't be one."""
    if len(cursor) > _LONGEST or not cursor.isascii():
        raise ValueError("not a cursor")
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        moment, _, job_id = text.partition(".")
        created_at = _EPOCH + timedelta(microseconds=int(moment))
    except (binascii.Error, OverflowError, UnicodeDecodeError) as error:
        raise ValueError("not a cursor") from error
    if not is_possible_id(job_id):
        raise ValueError("not a cursor")
    return created_at, job_id
