"""A task that says what is in a table: types, missing values, statistics, histograms."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Annotated, Any, BinaryIO, Literal, cast

from celery import shared_task
from flask import current_app

from ..errors import BadResponse, FilesUnavailable, NotReached, UnusableInput
from ..files.hints import FileId
from ..files.service import file_path
from ..mirror.artefacts import save_artefact
from ..mirror.progress import report_progress
from ..outbound import WebAddress, fetch_bounded, http_client
from .optional import need

need("polars")

#: Columns that the job's result tells of; the artefact tells of all.
IN_RESULT = 50
#: Seconds for a table to come from elsewhere.
DOWNLOAD = 600

Delimiter = Annotated[Literal[",", ";", "\t", "|"] | None, "Found out if it is not given."]
Url = Annotated[WebAddress | None, "Where the table is, instead of a file."]


@shared_task(autoretry_for=(FilesUnavailable, NotReached), retry_backoff=2, retry_backoff_max=600, max_retries=8)
def analyze_csv(
    file: FileId | None = None, url: Url = None, delimiter: Delimiter = None, header: bool = True
) -> dict[str, Any]:
    """Say what is in a table: types, missing values, statistics, histograms.

    The table is a file, or at a URL. The artefact `analysis.json` has all of it; the result has the first 50 columns.
    Memory does not grow with the rows. Fails at once, with what is wrong, for a file that is no table.
    """
    from ..gallery.tables.analysis import analyse  # noqa: PLC0415 - see `need`

    if (file is None) == (url is None):
        raise UnusableInput("give either a file or a URL")
    with _downloaded(url) if url is not None else file_path(str(file)) as path:
        found = analyse(path, report_progress, delimiter=delimiter, header=header)
    kept = save_artefact("analysis.json", json.dumps(found, indent=1, allow_nan=False).encode(), "application/json")
    columns = found["columns"]
    return {**found, "columns": columns[:IN_RESULT], "columns_left_out": len(columns[IN_RESULT:]), "file": kept}


@contextmanager
def _downloaded(url: str) -> Iterator[Path]:
    """Read a URL into a file, for a while. Raises NotReached where another try may help."""
    with _nameless() as (file, path), http_client(current_app.config) as client:
        limit = current_app.config["FILE_SIZE_LIMIT"]
        answer = fetch_bounded(client, url, limit, seconds=DOWNLOAD, into=file, on_progress=_report_bytes)
        file.flush()
        if answer.status == 429 or answer.status >= 500:
            raise NotReached(f"{url} answers {answer.status}")
        if answer.status != 200:
            raise BadResponse(f"{url} answers {answer.status}")
        yield path


@contextmanager
def _nameless() -> Iterator[tuple[BinaryIO, Path]]:
    """Give a file that is gone when this process is, even if it is killed, and a path to read it by meanwhile."""
    if Path("/proc/self/fd").is_dir():
        with TemporaryFile(prefix="task_app-") as file:
            yield cast("BinaryIO", file), Path(f"/proc/self/fd/{file.fileno()}")
        return
    # Where there is no such path (it is Linux's), a kill leaves the file.
    with TemporaryDirectory(prefix="task_app-") as folder, Path(folder, "table").open("wb") as named:
        yield named, Path(folder, "table")


def _report_bytes(current: int, total: int | None) -> None:
    report_progress(current, total, "bytes read from the URL")
