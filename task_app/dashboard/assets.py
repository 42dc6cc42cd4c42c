"""Addresses of files that change only with their content, so that browsers may keep them."""

import hashlib
from functools import cache
from pathlib import Path

from flask import url_for

STATIC = Path(__file__).parent / "static"


@cache
def _digest(name: str, changed: int) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the address of a file in `static`."""
    return url_for("dashboard.static", filename=name, v=_digest(name, (STATIC / name).stat().st_mtime_ns))
