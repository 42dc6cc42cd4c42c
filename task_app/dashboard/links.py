"""Addresses that differ from the present one in some of the query: every filter and place is in the URL."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several places to go, and whether one is there already."""

    label: str
    url: str
    is_here: bool


def jobs_url(**filters: Any) -> str:
    """Return the address of a list of jobs."""
    return url_for("dashboard.jobs", **filters)


def here_with(**changes: str | None) -> str:
    """Return the present address with these parts of the query exchanged; None removes one."""
    query = {**request.args.to_dict(), **changes}
    kept = {name: value for name, value in query.items() if value is not None}
    path = f"{request.script_root}{request.path}"
    return f"{path}?{urlencode(kept)}" if kept else path


def here() -> str:
    """Return the present address, path and query, for a form to come back to."""
    return request.full_path.rstrip("?")
