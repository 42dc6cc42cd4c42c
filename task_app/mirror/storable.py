"""What a JSON value must not hold to be kept in every database and read by every worker."""

import re
from collections.abc import Iterator
from typing import Any

from kombu.utils.json import object_hook

#: Deeper values overflow the stack of one JSON reader or another.
DEEPEST = 100

# PostgreSQL can't keep the first, UTF-8 can't write the others.
_BAD_TEXT = re.compile("[\x00\ud800-\udfff]")
BAD_TEXT = "Must not contain NUL characters or lone surrogates."
TOO_DEEP = f"Must not be nested deeper than {DEEPEST} levels."
_TYPED = "Not a valid __type__ and __value__ pair (Celery's notation for dates and such)."

Path = tuple[str | int, ...]


def is_storable(text: str) -> bool:
    """Say whether a string can be stored."""
    return _BAD_TEXT.search(text) is None


def faults(value: Any) -> Iterator[tuple[Path, str]]:
    """Yield where in a JSON value something can't be stored or sent, and what it is."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, str):
            if not is_storable(item):
                yield path, BAD_TEXT
        elif isinstance(item, dict | list):
            if len(path) > DEEPEST:
                yield path[:1], TOO_DEEP
            elif isinstance(item, list):
                waiting.extend(((*path, index), inner) for index, inner in enumerate(item))
            elif _is_misleading(item):
                yield path, _TYPED
            else:
                waiting.extend(((*path, key), inner) for key, inner in item.items())
                yield from (((*path, key), BAD_TEXT) for key in item if not is_storable(key))


def _is_misleading(item: dict[str, Any]) -> bool:
    """Say whether a worker would fail to read this object: kombu gives these two keys a meaning of its own."""
    if item.keys() != {"__type__", "__value__"}:
        return False
    try:
        object_hook(item)
    except Exception:  # noqa: BLE001 - whatever a decoder raises, the worker could not read it
        return True
    return False
