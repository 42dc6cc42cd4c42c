"""Tasks of the user's own packages: entry points and the setting TASK_MODULES name the modules to import."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from celery.exceptions import DuplicateTaskNameWarning
from flask import Flask

from .. import config
from ..errors import ConfigurationError

#: The group of entry points by which an installed package names its modules with tasks.
GROUP = "task_app.tasks"


@contextmanager
def unique_names() -> Iterator[None]:
    """Refuse two tasks of one name. Celery would warn and keep either, a different one in each process perhaps.

    Raises ConfigurationError, which names both.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DuplicateTaskNameWarning)
            yield
    except DuplicateTaskNameWarning as warning:
        problem = " ".join(str(warning).partition("The new callable")[0].split())
        raise ConfigurationError("tasks", problem) from None


def import_modules(app: Flask) -> None:
    """Import every module that is named. Raises ConfigurationError, which says by whom, for one that can't be."""
    for point in _entry_points():
        with _named(_name_of(point), point.value):
            point.load()
    for module in app.config["TASK_MODULES"] or ():
        with _named(config.name_of(app, "TASK_MODULES"), module):
            import_module(module)


@cache
def _entry_points() -> list[EntryPoint]:
    """Look through what is installed; once, because that takes milliseconds and a test makes many apps."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


def _name_of(point: EntryPoint) -> str:
    package = f" of {point.dist.name}" if point.dist is not None else ""
    return f"entry point {GROUP}: {point.name}{package}"


@contextmanager
def _named(giver: str, module: str) -> Iterator[None]:
    try:
        yield
    except DuplicateTaskNameWarning:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  (a module is a program: it may raise anything, or end)
        raise ConfigurationError(giver, f"can't import {module}: {_in_one_line(error)}") from None


def _in_one_line(error: BaseException) -> str:
    """Say what went wrong, and where in the module: there will be no traceback."""
    what = " ".join(str(error).split())
    line = f"{type(error).__name__}: {what}" if what else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    return f"{line} ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else line
