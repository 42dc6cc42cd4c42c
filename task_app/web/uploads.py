"""A file that comes in a multipart body: passed on as it comes, never held as a whole, in memory or anywhere else."""

from collections.abc import Iterator

from flask import request
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType
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

BROKEN = "The body ends too early, or is no multipart/form-data."
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
    for piece in _pieces():
        decoder.receive_data(piece or None)
        while not isinstance(event := _next_event(decoder), NeedData):
            if isinstance(event, Epilogue):
                if event.data.strip():
                    raise BadRequest("Something follows the last boundary of the body.")
                return
            if isinstance(event, File | Field | Data):
                yield event


def _pieces() -> Iterator[bytes]:
    """Yield the bytes of the body, and nothing (`b""`) at its end. Raises 400 if it isn't as long as was announced.

    Some servers, gunicorn among them, end a body where its connection ends, and tell nobody that bytes are missing.
    """
    length = request.content_length if request.headers.get("Content-Length") else None  # may be empty, says PEP 3333
    size = 0
    while piece := _read():
        size += len(piece)
        yield piece
    if length is not None and size != length:
        raise BadRequest(f"The body ends after {size} bytes; its Content-Length is {length}.")
    yield b""


def _read() -> bytes:
    """Read a piece of the body. Raises 400 where the server can't: each has errors of its own for a broken body."""
    try:
        return request.stream.read(PIECE)
    except HTTPException:
        raise
    except Exception as error:  # only the client's bytes are read here: no store, no database
        raise BadRequest(BROKEN) from error


def _next_event(decoder: MultipartDecoder) -> Event:
    try:
        return decoder.next_event()
    except (ValueError, AttributeError) as error:  # the decoder's words for what it can't read
        raise BadRequest(BROKEN) from error
