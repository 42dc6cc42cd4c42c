"""Addresses that differ from the present one in some of the query: every filter and place is in the URL."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import request, url_for

#: A path of ours: not //host nor /\host, which browsers take for other sites, and nothing they would remove first.
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")


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


def own_path(path: str | None) -> str | None:
    """Return a path that a form brought, if it leads to a page of ours; else None."""
    return path if path and _OWN_PATH.fullmatch(path) else None


def here() -> str:
    """Return the present address, path and query, for a form to come back to."""
    return request.full_path.rstrip("?")
