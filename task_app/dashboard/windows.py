"""Which span of time charts show: one of a few usual ones up to now, or one that somebody chose by `from` and `to`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .links import Choice, here_with

USUAL = {
    "15m": ("15 minutes", timedelta(minutes=15)),
    "1h": ("hour", timedelta(hours=1)),
    "6h": ("6 hours", timedelta(hours=6)),
    "1d": ("day", timedelta(days=1)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
}
DEFAULT = "1h"
SHORTEST = timedelta(minutes=1)
#: Nothing is known of what was longer ago.
KEPT = timedelta(days=395)


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time, and the others that one can go to."""

    start: datetime
    end: datetime
    label: str
    is_chosen: bool
    choices: list[Choice]
    latest_url: str


def window_of(args: dict[str, str], now: datetime) -> Window:
    """Return the window that the address asks for; what makes no sense is left out of account."""
    start, end = _moment(args.get("from")), _moment(args.get("to"))
    name = args.get("window", DEFAULT)
    name = name if name in USUAL else DEFAULT
    is_chosen = start is not None and end is not None and _can_be_shown(start, end, now)
    choices = [
        Choice(key, here_with(window=key, **{"from": None, "to": None}), not is_chosen and key == name) for key in USUAL
    ]
    latest = here_with(**{"from": None, "to": None})
    if is_chosen and start is not None and end is not None:
        return Window(start, end, "chosen", True, choices, latest)
    words, length = USUAL[name]
    return Window(now - length, now, words, False, choices, latest)


def _can_be_shown(start: datetime, end: datetime, now: datetime) -> bool:
    """Say whether anything can be known of a window: it is long enough, not in the future, not too long ago."""
    return end - start >= SHORTEST and start < now - SHORTEST and end > now - KEPT


def _moment(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
        return None if found is None or found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
