"""JSON as Celery writes it: kombu's types (datetime, Decimal, UUID …) keep their type, NaN is refused."""

from typing import Any

from kombu.exceptions import DecodeError
from kombu.utils import json

from ..errors import ValueNotStorable
from ..jobs.packing import Unreadable


def dumps(value: Any, what: str, limit: int | None = None) -> str:
    """Write JSON. Raises ValueNotStorable, naming `what`, for a value that isn't JSON or is over `limit` bytes."""
    try:
        text: str = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueNotStorable(f"{what} can't be written as JSON: {error}") from None
    if limit is not None and len(text) > limit:
        raise ValueNotStorable(f"{what} takes {len(text)} bytes as JSON; the limit is {limit}")
    return text


def loads(text: str) -> Any:
    """Read JSON, with kombu's types. Raises kombu's DecodeError."""
    if isinstance(text, Unreadable):
        raise DecodeError(text.problem)
    try:
        return json.loads(text)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # Not only malformed text: kombu's typed values (`__type__`, `__value__`) may be nonsense.
        raise DecodeError(str(error)) from error
