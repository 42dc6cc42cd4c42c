"""Names and types of files. People read them, and browsers save files under them; no path of ours is made of either."""

import mimetypes
import re
import unicodedata
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

UNNAMED = "file"
UNKNOWN_TYPE = "application/octet-stream"
#: Bytes of UTF-8: more than this, file systems of those who download it refuse.
LONGEST = 255
LONGEST_SUFFIX = 20

_SEPARATORS = re.compile(r"[/\\]")
_NOT_EVERYWHERE = re.compile(r'[<>:"|?*]')
#: Windows takes these for devices, whatever follows the first dot.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")


def clean_name(name: str | None) -> str:
    """Return a name as it is kept: the last part of a path, one line of visible text, not too long for any disk."""
    last = _SEPARATORS.split(name or "")[-1]
    visible = "".join(letter for letter in unicodedata.normalize("NFC", last) if letter.isprintable())
    safe = _NOT_EVERYWHERE.sub("_", visible).strip(" .")
    if _DEVICES.fullmatch(safe.partition(".")[0].rstrip()):
        safe = f"_{safe}"
    return _cut(safe) or UNNAMED


def _cut(name: str) -> str:
    """Shorten a name, and let it keep its suffix."""
    if len(name.encode()) <= LONGEST:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    room = LONGEST - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore").rstrip(" .") + dot + suffix


def clean_type(given: str | None, name: str = "") -> str:
    """Return a media type as it is kept, without parameters; where none is given, what the name suggests.

    Programs that don't know (curl) say that it is any bytes; then, too.
    """
    bare = (given or "").partition(";")[0].strip().lower()
    if _TYPE.fullmatch(bare) and bare != UNKNOWN_TYPE:
        return bare
    return mimetypes.guess_type(f"file:{name}")[0] or UNKNOWN_TYPE


@dataclass(frozen=True, slots=True)
class Types:
    """Which media types may come in; no patterns: any."""

    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Read `text/csv, image/*`. Raises ValueError for what no type could fit."""
        patterns = tuple(part.strip().lower() for part in (text or "").split(",") if part.strip())
        for pattern in patterns:
            if not _TYPE.fullmatch(pattern.replace("*", "x")):
                raise ValueError(f"{pattern!r} is no media type such as text/csv or image/*")
        return cls(patterns)

    def allow(self, kind: str) -> bool:
        """Say whether a type may come in."""
        return not self.patterns or any(fnmatchcase(kind, pattern) for pattern in self.patterns)

    def __str__(self) -> str:
        return ", ".join(self.patterns)
