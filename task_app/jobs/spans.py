"""Spans of time for which rollups are kept, and how long they are kept."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

SHORT, MIDDLE, LONG, DAY = 10, 300, 3600, 86400
#: Seconds, shortest first. Each is a multiple of the one before.
SPANS = (SHORT, MIDDLE, LONG, DAY)

#: How long rows are kept. What a page shows has up to 360 points: an hour in the shortest spans, a day in the next, two
#: weeks in hours, a year in days (of UTC). Some more are for those who look back.
KEEP = {SHORT: timedelta(hours=3), MIDDLE: timedelta(days=3), LONG: timedelta(days=40), DAY: timedelta(days=400)}


class Kind(StrEnum):
    """What a rollup is about."""

    ALL = "all"
    TASK = "task"
    QUEUE = "queue"


def floor(moment: datetime, seconds: int) -> datetime:
    """Return the beginning of the span of this length in which a moment lies."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


def ceil(moment: datetime, seconds: int) -> datetime:
    """Return the first beginning of a span of this length that is not before a moment."""
    below = floor(moment, seconds)
    return below if below == moment else below + timedelta(seconds=seconds)


def kept_since(seconds: int, now: datetime) -> datetime:
    """Return the moment from which on rows of this length are kept: the beginning of a longer span, so none is cut."""
    return floor(now - KEEP[seconds], min((span for span in SPANS if span > seconds), default=seconds))
