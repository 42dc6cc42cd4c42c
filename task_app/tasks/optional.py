"""Libraries that the service can do without."""

from importlib.util import find_spec


def need(*libraries: str) -> None:
    """Raise ModuleNotFoundError for a library that isn't installed, without importing those that are.

    For the top of a module in `GALLERY`. The libraries themselves are imported when a task runs: together they take
    five seconds and 150 MB, which no command and no worker that never runs these tasks should pay, and some start
    threads, which must not happen before a worker forks its processes.
    """
    for library in libraries:
        if find_spec(library) is None:
            raise ModuleNotFoundError(f"No module named {library!r}", name=library)
