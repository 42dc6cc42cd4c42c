"""A task that makes pictures smaller."""

from pathlib import PurePath
from typing import Annotated, Any

from celery import shared_task
from marshmallow.validate import Range

from ..errors import FilesUnavailable
from ..files.hints import FileId
from ..files.service import file_path
from ..files.service import info as file_info
from ..mirror.artefacts import save_artefact
from ..mirror.progress import raise_if_cancelled
from .optional import need

need("PIL")


@shared_task(autoretry_for=(FilesUnavailable,), retry_backoff=2, max_retries=8)
def resize_image(
    file: FileId, width: Annotated[int, Range(1, 4096), "In pixels; a picture is never made larger."] = 320
) -> dict[str, Any]:
    """Make a smaller picture of a PNG, JPEG, WebP or GIF.

    It is upright as its camera meant it, and has no metadata. Fails at once for a file that is no such picture, is
    damaged, or has more than 50 million pixels.
    """
    from ..gallery.images import thumbnail  # noqa: PLC0415 - see `need`

    with file_path(file) as path:
        made = thumbnail(path, width, raise_if_cancelled)
    name = f"{PurePath(file_info(file).name).stem[:200]}-{made.width}.{made.suffix}"
    return {
        "file": save_artefact(name, made.data, made.type),
        "width": made.width,
        "height": made.height,
        "original_width": made.original_width,
        "original_height": made.original_height,
    }
