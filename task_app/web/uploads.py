"""A file that comes in a multipart body: passed on as it comes, never held as a whole, in memory or anywhere else."""

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from ..files import service
from ..files.runtime import files_runtime
from ..files.view import FileInfo
from .problems import FieldErrors

#: Bytes that are read at once.
PIECE = 64 * 1024
#: Bytes that the decoder may hold: a piece, and what it can't make out yet. Headers of a part must fit in.
LARGEST_BUFFER = 4 * PIECE
#: Bytes of a body besides its file.
AROUND = 64 * 1024

ONE_FILE = "Send one file, as multipart/form-data with one part that has a file name."


def store_upload() -> FileInfo:
    """Keep the file in the body of the request. What is wrong with the body is seen before the file can be found.

    Raises 400 for a body that is broken or ends too early, 413, 415, 422, and what `files.service.store` raises.
    """
    parts = _events()
    part = next(parts, None)
    if not isinstance(part, File):
        raise FieldErrors({getattr(part, "name", None) or "file": [ONE_FILE]})
    if not part.filename:
        raise FieldErrors({part.name or "file": ["No file was chosen."]})
    return service.store(_bytes_of(part, parts), part.filename, part.headers.get("Content-Type"))


def _bytes_of(part: File, events: Iterator[Event]) -> Iterator[bytes]:
    """Yield the bytes of a part; ends when the whole body has come, and had nothing else in it."""
    for event in events:
        if isinstance(event, Data):
            yield event.data
        elif isinstance(event, File | Field):
            raise FieldErrors({event.name or part.name or "file": [ONE_FILE]})


def _events() -> Iterator[Event]:
    """Yield the parts of the body and their data, up to its very end."""
    boundary = request.mimetype_params.get("boundary", "")
    if request.mimetype != "multipart/form-data" or not boundary or not boundary.isascii():
        raise UnsupportedMediaType(ONE_FILE)
    request.max_content_length = files_runtime().size_limit + AROUND
    decoder = MultipartDecoder(boundary.encode(), LARGEST_BUFFER)
    while True:
        decoder.receive_data(request.stream.read(PIECE) or None)
        while not isinstance(event := _next_event(decoder), NeedData):
            if isinstance(event, Epilogue):
                return
            if isinstance(event, File | Field | Data):
                yield event


def _next_event(decoder: MultipartDecoder) -> Event:
    try:
        return decoder.next_event()
    except (ValueError, AttributeError) as error:  # the decoder's words for what it can't read
        raise BadRequest("The body ends too early, or is no multipart/form-data.") from error
