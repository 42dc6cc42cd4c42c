"""What a schema asks for, in words for people."""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import fields, validate

from .controls import as_text

#: A longer default stands in the input alone.
LONGEST_DEFAULT = 40

_TYPES = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "object",
    "array": "list",
    "null": "null",
}
_PLURALS = {
    "whole number": "whole numbers",
    "number": "numbers",
    "decimal number": "decimal numbers",
    "date": "dates",
    "UUID": "UUIDs",
    "file": "files",
    "object": "objects",
    "list": "lists",
}
_FORMATS = {
    "date": "date",
    "date-time": "date and time",
    "uuid": "UUID",
    "file-id": "file",
    "email": "email address",
    "url": "web address",
    "ip": "IP address",
    "ipv4": "IPv4 address",
    "ipv6": "IPv6 address",
}


def in_words(described: Mapping[str, Any]) -> str:
    """Say what kind of value a JSON Schema describes: "whole number", "list of dates", "number or text"."""
    if "anyOf" in described:
        kinds = [in_words(part) for part in described["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if described.get("enum"):
        return "choice"
    kinds = described.get("type", ())
    kinds = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    if kinds == ["number", "string"]:
        return "decimal number"
    return _single(kinds[0], described) if len(kinds) == 1 else "any JSON"


def _single(kind: str, described: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_plural(in_words(described.get('items', {})))}"
    if kind == "object":
        return _object(described)
    if unit := described.get("x-unit"):
        return f"duration in {unit}"
    return _FORMATS.get(str(described.get("format")), _TYPES[kind])


def _plural(kind: str) -> str:
    return _PLURALS.get(kind, kind)


def _object(described: Mapping[str, Any]) -> str:
    if names := described.get("properties"):
        needed = described.get("required", ())
        return "object with " + ", ".join(name if name in needed else f"{name} (optional)" for name in names)
    values = described.get("additionalProperties")
    return f"object of {_plural(in_words(values))}" if isinstance(values, Mapping) and values else "object"


def limits_in_words(schema: fields.Field[Any], described: Mapping[str, Any]) -> str:
    """Say what validators ask for: "1 to 100", "at most 255 characters"."""
    parts = [*_limits(schema)]
    if pattern := described.get("pattern"):
        parts.append(f"matches {pattern}")
    if isinstance(schema, fields.List):
        parts += [f"each: {limit}" for limit in _limits(schema.inner)]
        if values := described.get("items", {}).get("enum"):
            parts.append(f"of {', '.join(map(str, values))}")
    return "; ".join(parts)


def default_in_words(value: Any) -> str:
    """Say what an argument is if it is not given."""
    text = str(value) if isinstance(value, str) and value.strip() else as_text(value)
    return f"default {text}" if len(text) <= LONGEST_DEFAULT else ""


def _limits(schema: fields.Field[Any]) -> Iterator[str]:
    unit = " characters" if isinstance(schema, fields.String) else " items"
    for validator in schema.validators:
        match validator:
            case validate.Length(equal=int() as length):
                yield f"exactly {length}{unit}"
            case validate.Length():
                yield _span(validator.min, validator.max) + unit
            case validate.Range():
                more, less = not validator.min_inclusive, not validator.max_inclusive
                yield _span(validator.min, validator.max, more=more, less=less)


def _span(least: Any, most: Any, *, more: bool = False, less: bool = False) -> str:
    if least is not None and most is not None and not more and not less:
        return f"{_plain(least)} to {_plain(most)}"
    parts = []
    if least is not None:
        parts.append(f"{'more than' if more else 'at least'} {_plain(least)}")
    if most is not None:
        parts.append(f"{'less than' if less else 'at most'} {_plain(most)}")
    return ", ".join(parts)


def _plain(value: Any) -> str:
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) and abs(value) >= 10_000 else str(value)
