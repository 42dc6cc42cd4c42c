"""Ids of jobs in addresses: those that no job can have reach no database."""

import re

from flask import request
from werkzeug.exceptions import NotFound

# What the column holds, and what every database can compare it with.
_POSSIBLE_ID = re.compile(r"[!-~]{1,155}\Z")


def is_possible_id(job_id: str) -> bool:
    """Say whether a job could have this id."""
    return _POSSIBLE_ID.match(job_id) is not None


def refuse_impossible_ids() -> None:
    """Answer 404 for an id in the path (`task_id`, `job_id`) that no job can have, before a database sees it."""
    found = request.view_args or {}
    job_id = found.get("task_id", found.get("job_id"))
    if job_id is not None and not is_possible_id(job_id):
        raise NotFound("There is no job with this id.")
