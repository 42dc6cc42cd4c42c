"""Sentences about jobs: plain text for a terminal, and the same in pieces for whoever can do better."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple


class Ref(NamedTuple):
    """Something that has a page of its own."""

    kind: Literal["job", "queue", "worker"]
    name: str

    def __str__(self) -> str:
        return f'"{self.name}"' if self.kind == "queue" else self.name


#: A sentence in pieces: a page shows a moment in the reader's own zone, and makes a link of a reference.
Sentence = tuple[str | datetime | Ref, ...]

DAY = timedelta(days=1)


def in_words(sentences: Sequence[Sentence], now: datetime) -> str:
    """Write sentences as plain text; times are UTC, and relative to `now` as well."""
    return " ".join("".join(_word(piece, now) for piece in sentence) + "." for sentence in sentences)


def _word(piece: str | datetime | Ref, now: datetime) -> str:
    if not isinstance(piece, datetime):
        return str(piece)
    seconds = (piece - now).total_seconds()
    near = f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"
    return f"{piece.astimezone(UTC):{'%H:%M:%S' if abs(piece - now) < DAY else '%Y-%m-%d %H:%M'}} UTC ({near})"


def duration(seconds: float) -> str:
    """Write a time span in its largest unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s"


def number_of(count: int, noun: str, at_least: bool = False) -> str:
    """Write "1 job", "2 jobs", "at least 1000 jobs"."""
    return f"{'at least ' if at_least else ''}{count} {noun}{'' if count == 1 else 's'}"


def first_line(text: str | None, longest: int = 200) -> str:
    """Return the first line of a message, cut if it is long."""
    line = ((text or "").strip().splitlines() or [""])[0]
    return line if len(line) <= longest else f"{line[:longest]}…"
