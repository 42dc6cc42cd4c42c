"""Long texts as they are stored: compressed, behind a mark. What the type `columns.PackedText` does to each value.

Short texts are stored as they are, and so are long ones that would not get smaller. A row can still be read by eye:
`SELECT id, task, state` as ever, and a packed value says by its beginning what it is.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError, frame_content_size

from ..errors import ValueUnreadable

#: Bytes of UTF-8 from which a text is packed. PostgreSQL compresses by itself from 2 KB on, and most values are shorter
#: than that: packing those would cost each move and save nothing.
PACKED_FROM = 16 * 1024
#: Bytes of the largest text that is packed, and so of the largest that is opened: a row can't fill the memory of
#: whoever reads it by saying that it holds more.
LARGEST = 64 * 1024 * 1024

MARK = "zstd:"
#: In front of a text that begins with the mark itself. No base64 begins so.
PLAIN = f"{MARK}:"

_SHORT = PACKED_FROM // 4  # a character takes four bytes at most
_MARKED = len(MARK)


class Unreadable(str):
    """A stored text that can't be opened, in the place of what it should be: one bad row must not hide a whole list.

    It is the text as it is stored, so writing it back loses nothing. Whoever needs what it held calls `load`.
    """

    problem: str

    @classmethod
    def of(cls, stored: str, column: str, reason: str) -> "Unreadable":
        """Keep a text with the reason why it can't be opened."""
        found = cls(stored)
        found.problem = f"the job's {column} can't be read from its row: {reason}"
        return found


def pack(text: str | None) -> str | None:
    """Return a text as it is to be stored."""
    if text is None or (len(text) < _SHORT and text[:_MARKED] != MARK):
        return text
    return _packed(text)


def opener(column: str) -> Callable[[str | None], str | None]:
    """Return what opens the stored texts of a column."""

    def unpack(stored: str | None) -> str | None:
        if stored is None or stored[:_MARKED] != MARK:
            return stored
        return _unpacked(stored, column)

    return unpack


def load(text: str) -> Any:
    """Read the JSON of a column. Raises ValueUnreadable, which names it, where the stored text could not be opened."""
    if isinstance(text, Unreadable):
        raise ValueUnreadable(text.problem)
    return json.loads(text)


def show(text: str | None) -> Any:
    """Read the JSON of a column, None for none; where it could not be opened, an object whose message says so."""
    if isinstance(text, Unreadable):
        return {"message": text.problem}
    return None if text is None else json.loads(text)


def _packed(text: str) -> str:
    if isinstance(text, Unreadable):
        return str(text)
    data = text.encode()
    if PACKED_FROM <= len(data) <= LARGEST:
        packed = MARK + base64.b64encode(ZstdCompressor(write_checksum=True).compress(data)).decode("ascii")
        if len(packed) < len(data):
            return packed
    return f"{PLAIN}{text}" if text.startswith(MARK) else text


def _unpacked(stored: str, column: str) -> str:
    if stored.startswith(PLAIN):
        return stored[len(PLAIN) :]
    try:
        frame = base64.b64decode(stored[_MARKED:], validate=True)
        size = frame_content_size(frame)
        if not 0 <= size <= LARGEST:
            return Unreadable.of(stored, column, f"its size is not given, or over {LARGEST} bytes")
        return ZstdDecompressor().decompress(frame, allow_extra_data=False).decode()
    except (ZstdError, ValueError) as error:  # no base64, no frame, or no UTF-8 in it
        return Unreadable.of(stored, column, str(error))
