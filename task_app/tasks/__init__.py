"""The tasks. To add one: write a typed function with `@shared_task` in a module here and import it below.

Its name, summary and arguments appear in the API by themselves. Tasks run inside the Flask app, so `current_app` and
`db.session` work; `report_progress` says how far they are, and `raise_if_cancelled` asks whether to go on. `FileId`,
`open_file`, `file_path`, `file_info` and `save_artefact` are for files. A task may run more than once: see
docs/howto/add-a-task.md.
"""

import logging
from importlib import import_module

from celery import Celery
from flask import Flask

from ..errors import ConfigurationError
from ..files.hints import FileId
from ..files.service import file_path, open_file
from ..files.service import info as file_info
from ..mirror import arguments
from ..mirror.artefacts import save_artefact
from ..mirror.progress import raise_if_cancelled, report_progress
from . import own
from .batches import merge_chunks, process_batch, process_chunk
from .examples import add
from .idempotency import idempotency_token
from .mail import send_email, send_welcome_email
from .pruning import prune
from .reporting import long_task, process
from .retrying import flaky
from .sleeping import block, sleep_task

__all__ = [
    "FileId",
    "add",
    "block",
    "file_info",
    "file_path",
    "flaky",
    "idempotency_token",
    "init_app",
    "long_task",
    "merge_chunks",
    "open_file",
    "process",
    "process_batch",
    "process_chunk",
    "prune",
    "raise_if_cancelled",
    "report_progress",
    "save_artefact",
    "send_email",
    "send_welcome_email",
    "sleep_task",
]

logger = logging.getLogger(__name__)

#: Modules of this package whose libraries are in the extra `gallery`. Without them their tasks are not there.
GALLERY: tuple[str, ...] = ("crawling", "images", "models", "nightly", "reports", "tables")


def _import_gallery() -> None:
    for name in GALLERY:
        try:
            import_module(f".{name}", __name__)
        except ModuleNotFoundError as missing:
            if missing.name is None or missing.name.partition(".")[0] == "task_app":
                raise
            logger.debug("the tasks of %s are left out: %s is not installed", name, missing.name)


_import_gallery()


def init_app(app: Flask) -> None:
    """Import the tasks of the user's own packages, and make sure that the arguments of public tasks can be validated.

    Raises ConfigurationError, which names the module or the tasks, or a nightly report that nobody could make or get,
    and WrongTask, which names the parameter.
    """
    celery: Celery = app.extensions["celery"]
    with own.unique_names():
        own.import_modules(app)
        tasks = celery.tasks
    for name, task in tasks.items():
        if not name.startswith("celery.") and task.public:
            arguments.check(task)
    to = app.config["NIGHTLY_REPORT_TO"]
    if to is not None:
        _check_nightly_report(celery, to)


def _check_nightly_report(celery: Celery, to: str) -> None:
    setting = "NIGHTLY_REPORT_TO"
    if "nightly_report" not in celery.tasks:
        raise ConfigurationError(setting, "needs the extra gallery: pip install '.[gallery]'")
    try:
        arguments.bind(celery.tasks["nightly_report"], [], {"to": to})
    except arguments.ArgumentErrors as error:
        raise ConfigurationError(setting, f"must be an email address: {' '.join(error.errors['to'])}") from None
