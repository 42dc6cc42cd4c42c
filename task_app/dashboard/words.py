"""How pages write moments, time spans, numbers and arguments."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from ..jobs.view import JobView, timestamp
from .drawing import amounts

#: Characters of a call in a list; the job's page has all of it.
CALL_LENGTH = 160


def moment(value: datetime | str | None, *, absolute: bool = False, none: str = "–") -> Markup:
    """Write a moment in UTC, for a script to show as people choose."""
    if value is None:
        return Markup.escape(none)
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    text = when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    clock = Markup(' data-clock="absolute"') if absolute else ""
    return Markup('<time datetime="{}"{}>{}</time>').format(timestamp(when), clock, text)


def duration(seconds: float | None) -> str:
    """Write a time span as charts do; a dash for none."""
    return "–" if seconds is None else amounts.duration(max(0.0, seconds))


def number(value: float | None, limit: int | None = None) -> str:
    """Write a count with thin spaces; one that stopped at `limit` bears a plus."""
    if value is None:
        return "–"
    text = f"{value:,.0f}".replace(",", "\u202f")
    return f"{text}+" if limit is not None and value >= limit else text


def size(number_of_bytes: int | None) -> str:
    """Write an amount of memory, or the size of a file."""
    if number_of_bytes is None:
        return "–"
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number_of_bytes >= length:
            return f"{number_of_bytes / length:.3g} {unit}"
    return f"{number_of_bytes} B"


def call(args: Sequence[Any], kwargs: Mapping[str, Any], length: int = CALL_LENGTH) -> str:
    """Write arguments as in a call, cut off where they are long."""
    parts: list[str] = []
    left = length
    for name, value in [*(("", value) for value in args), *kwargs.items()]:
        text = f"{name}={_short(value, left)}" if name else _short(value, left)
        parts.append(text)
        left -= len(text) + 2
        if left <= 0:
            break
    written = ", ".join(parts)
    return written if len(written) <= length else written[:length] + "…"


def _short(value: Any, length: int) -> str:
    """Write a value as JSON; of what is long only the beginning is looked at."""
    if isinstance(value, str):
        return json.dumps(value[: length + 1], ensure_ascii=False)
    if isinstance(value, list) and len(value) > 20:
        return json.dumps(value[:20], ensure_ascii=False)[:-1] + ", …]"
    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any) -> str:
    """Write JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def seconds_run(job: JobView, now: datetime) -> float | None:
    """Return how long the last attempt ran, or has been running."""
    if job.started_at is None:
        return None
    return ((job.finished_at or now) - job.started_at).total_seconds()
