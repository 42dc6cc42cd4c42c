"""Ids of jobs: UUID version 7 (RFC 9562), so that they sort by the time they were made."""

from uuid_utils import uuid7


def new_id() -> str:
    """Return a new time-ordered id; within a process each is greater than the one before."""
    return str(uuid7())
