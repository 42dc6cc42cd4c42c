"""A task that says what is in a table: types, missing values, statistics, histograms."""

import json
from typing import Annotated, Any, Literal

from celery import shared_task

from ..errors import FilesUnavailable
from ..files.hints import FileId
from ..files.service import file_path
from ..mirror.artefacts import save_artefact
from ..mirror.progress import report_progress
from .optional import need

need("polars")

#: Columns that the job's result tells of; the artefact tells of all.
IN_RESULT = 50

Delimiter = Annotated[Literal[",", ";", "\t", "|"] | None, "Found out if it is not given."]


@shared_task(autoretry_for=(FilesUnavailable,), retry_backoff=2, max_retries=8)
def analyze_csv(file: FileId, delimiter: Delimiter = None, header: bool = True) -> dict[str, Any]:
    """Say what is in a table: types, missing values, statistics, histograms.

    The artefact `analysis.json` has all of it; the result has the first 50 columns. Memory does not grow with the
    rows. Fails at once, with what is wrong, for a file that is no table.
    """
    from ..gallery.tables.analysis import analyse  # noqa: PLC0415 - see `need`

    with file_path(file) as path:
        found = analyse(path, report_progress, delimiter=delimiter, header=header)
    kept = save_artefact("analysis.json", json.dumps(found, indent=1, allow_nan=False).encode(), "application/json")
    columns = found["columns"]
    return {**found, "columns": columns[:IN_RESULT], "columns_left_out": len(columns[IN_RESULT:]), "file": kept}
