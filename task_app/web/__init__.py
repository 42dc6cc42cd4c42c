"""What the doors over HTTP share.

| file | holds |
|---|---|
| `watchers` | how many may watch at once |
| `submission` | what a submission, and edited arguments, must be |
| `strict_json` | how JSON is read |
| `streams` | server-sent events |
"""

from flask import Flask

from ..keys import models
from . import watchers

__all__ = ["init_app", "models"]


def init_app(app: Flask) -> None:
    """Prepare the app for its doors; comes before them."""
    watchers.init_app(app)
