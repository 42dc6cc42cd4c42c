"""task_app: a background-job service for Flask and Celery, with one table that tells the truth about every job."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .factory import MIGRATIONS, create_app

__all__ = ["MIGRATIONS", "__version__", "create_app"]


def __getattr__(name: str) -> Any:
    """Import the service when it is asked for: programs that only use `task_app.client` need nothing of it."""
    if name in ("MIGRATIONS", "create_app"):
        return getattr(import_module(".factory", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
