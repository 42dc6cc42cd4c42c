"""The controls of forms: how a JSON value stands in one, and how what was typed becomes a JSON value again.

A control doesn't judge. Text that can't be what is wanted is returned as it is, for the task's schema to refuse in the
words that clients of the API get; only what has no value at all, such as broken JSON, is `Unreadable`.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ...mirror.storable import TOO_DEEP
from ...web import strict_json

#: What stands in the inputs of one field: "" is the input itself, the others are beside it (a zone, a tick).
Typed = Mapping[str, str]

#: Without a zone; only what takes a naive moment offers it.
NO_ZONE = "none"

_LARGEST_NUMBER = 1e300  # browsers empty an input of numbers that are infinite to them
_INTEGER = re.compile(r"[+-]?[0-9]{1,4300}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_OFFSET = re.compile(r"[+-]\d\d:\d\d")
#: What browsers let stand in inputs of these types; anything else they drop without a word.
_SHAPES = {
    "number": re.compile(r"-?([0-9]+|[0-9]*\.[0-9]+)([eE][-+]?[0-9]+)?"),
    "date": re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"),
    "time": re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,3})?)?"),
    "datetime-local": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?"),
}
_OUTSIDE_STRINGS = re.compile(r'"(?:\\.|[^"\\])*"|(?P<constant>NaN|-?Infinity)')


class Unreadable(Exception):
    """What was typed has no value. The text is for the person who typed it."""


def fits(kind: str, text: str) -> bool:
    """Say whether a browser lets this text stand in an input of this type."""
    shape = _SHAPES.get(kind)
    return shape is None or shape.fullmatch(text) is not None


def as_text(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON in which everything can be seen: characters without a glyph are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if all(line.isprintable() for line in text.split("\n")):  # nearly always, and fast
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in text)


@dataclass(frozen=True, kw_only=True)
class Control:
    """One way to give a value. `attributes` are those of its HTML element."""

    macro: ClassVar[str] = "line"  # in _fields.html
    attributes: Mapping[str, Any] = field(default_factory=dict)
    emptiness: ClassVar[str] = ""  # what an empty input is, where that is a value, too

    def show(self, value: Any) -> dict[str, str] | None:
        """Return what stands in the inputs for a value; None if it can't stand there."""
        raise NotImplementedError

    def read(self, typed: Typed) -> Any:
        """Return the JSON value of what was typed. Raises Unreadable."""
        return typed[""]


class Line(Control):
    """Text of one line: names, ids, dates."""

    def show(self, value: Any) -> dict[str, str] | None:
        """Show strings without line breaks, which browsers take out."""
        return {"": value} if isinstance(value, str) and "\n" not in value and "\r" not in value else None


class Text(Line):
    """Text of one line that may be empty."""

    emptiness = "empty text"


class Area(Control):
    """Text of several lines."""

    macro = "area"
    emptiness = "empty text"

    def show(self, value: Any) -> dict[str, str] | None:
        """Show strings; browsers make every line break the same, so other ones can't be shown."""
        return {"": value} if isinstance(value, str) and "\r" not in value else None

    def read(self, typed: Typed) -> Any:
        """Return the text with the line breaks that were typed."""
        return _lines_as_typed(typed[""])


class Number(Control):
    """A number."""

    def show(self, value: Any) -> dict[str, str] | None:
        """Show a number; 5.0 as 5, which is the same to JSON."""
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST_NUMBER:
            return None
        return {"": str(int(value) if isinstance(value, float) and value.is_integer() else value)}

    def read(self, typed: Typed) -> Any:
        """Return the number, or the text if it is none."""
        return number_or_text(typed[""])


class Exact(Line):
    """A decimal number: sent as text, so that no digit is lost."""

    def show(self, value: Any) -> dict[str, str] | None:
        """Show text and numbers."""
        return super().show(str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value)

    def read(self, typed: Typed) -> Any:
        """Return the text without white space around it."""
        return typed[""].strip()


@dataclass(frozen=True, kw_only=True)
class Choice(Control):
    """One of a few values, told apart by their JSON: "1" is not 1."""

    macro = "choice"
    choices: tuple[tuple[str, str], ...]  # the JSON of each and how it is called

    @classmethod
    def of(cls, values: Iterable[Any], **attributes: Any) -> "Choice":
        """Return a choice of these values; one that looks like another is shown with its quotes."""
        values = list(values)
        plain = [value if isinstance(value, str) and value.strip() else as_text(value) for value in values]
        shown = [text if plain.count(text) == 1 else as_text(value) for text, value in zip(plain, values, strict=True)]
        texts = map(as_text, values)
        return cls(choices=tuple(zip(texts, shown, strict=True)), attributes=attributes)

    def show(self, value: Any) -> dict[str, str] | None:
        """Show one of the values."""
        text = as_text(value)
        return {"": text} if any(text == choice for choice, _ in self.choices) else None

    def read(self, typed: Typed) -> Any:
        """Return the chosen value."""
        if not any(typed[""] == choice for choice, _ in self.choices):
            raise Unreadable("Not one of the choices.")
        return json.loads(typed[""])


class Tick(Control):
    """Yes or no. A hidden input beside it says "false" where a browser says nothing."""

    macro = "tick"

    def show(self, value: Any) -> dict[str, str] | None:
        """Show true and false."""
        return {"": "true" if value else "false"} if isinstance(value, bool) else None

    def read(self, typed: Typed) -> Any:
        """Return true or false."""
        return typed[""] == "true"


@dataclass(frozen=True, kw_only=True)
class Moment(Control):
    """A day and a time of day in a zone: UTC, the browser's own (js/new.js adds it), or an offset."""

    macro = "moment"
    takes_naive: bool = False
    takes_aware: bool = True

    @property
    def zones(self) -> list[tuple[str, str]]:
        """The zones that are offered without a script."""
        return [("UTC", "UTC")] * self.takes_aware + [(NO_ZONE, "no time zone")] * self.takes_naive

    def show(self, value: Any) -> dict[str, str] | None:
        """Show an ISO 8601 moment to the millisecond; browsers know no finer ones."""
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return None
        zone = NO_ZONE if moment.tzinfo is None else _offset(moment)
        zone = "UTC" if zone == "+00:00" else zone
        is_known = zone in dict(self.zones) or (self.takes_aware and _OFFSET.fullmatch(zone))
        if moment.microsecond % 1000 or not is_known:
            return None
        precision = "milliseconds" if moment.microsecond else "seconds"
        return {"": moment.replace(tzinfo=None).isoformat(timespec=precision), "zone": zone}

    def read(self, typed: Typed) -> Any:
        """Return the moment with its offset, or the text if it is none."""
        text = typed[""]
        if not fits("datetime-local", text):
            return text
        text = text if text.count(":") > 1 else f"{text}:00"
        zone = typed.get("zone") or ("UTC" if self.takes_aware else NO_ZONE)
        if zone in (NO_ZONE, "UTC"):
            return text if zone == NO_ZONE else f"{text}Z"
        try:
            return text + _offset(datetime.fromisoformat(text).replace(tzinfo=_zone(zone)))
        except (ValueError, OverflowError):
            return text


@dataclass(frozen=True, kw_only=True)
class Lines(Control):
    """Values of one kind, one per line; or a JSON array, where a line can't hold a value."""

    macro = "area"
    emptiness = "empty list"
    of: Control

    def show(self, value: Any) -> dict[str, str] | None:
        """Show a list whose items fit a line each; another one as JSON."""
        if not isinstance(value, list):
            return None
        shown = [self.of.show(item) for item in value]
        text = "\n".join(item[""] for item in shown if item is not None)
        if None in shown or as_text(self.read({"": text})) != as_text(value):
            text = as_text(value, indent=2)
        return {"": text}

    def read(self, typed: Typed) -> Any:
        """Return the items; empty lines are none."""
        text = _lines_as_typed(typed[""])
        if text.lstrip().startswith("["):
            try:
                return parse(text)
            except Unreadable:
                if not isinstance(self.of, Line):
                    raise
        return [self.of.read({"": line}) for line in text.split("\n") if line.strip()]


class Json(Control):
    """Any value, as JSON."""

    macro = "area"

    def show(self, value: Any) -> dict[str, str] | None:
        """Show any value."""
        return {"": as_text(value, indent=2)}

    def read(self, typed: Typed) -> Any:
        """Return the value. Raises Unreadable, with the place."""
        return parse(_lines_as_typed(typed[""]))


def parse(text: str) -> Any:
    """Read JSON that a person typed. Raises Unreadable, with the place."""
    try:
        return strict_json.parse(text)
    except json.JSONDecodeError as error:
        hint = " Text needs double quotes." if _is_bare_word(text) else ""
        raise Unreadable(f"Line {error.lineno}, column {error.colno}: {error.msg}.{hint}") from None
    except RecursionError:
        raise Unreadable(TOO_DEEP) from None
    except ValueError as error:
        raise Unreadable(f"{_where(text)}{error}.") from None


def number_or_text(text: str) -> Any:
    """Return the number that a text is, or the text."""
    stripped = text.strip()
    if _INTEGER.fullmatch(stripped):
        return int(stripped)
    if _NUMBER.fullmatch(stripped) and math.isfinite(number := float(stripped)):
        return number
    return text


def _offset(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat()[19:]


def _zone(name: str) -> tzinfo:
    """Return a zone by its name or offset. Raises ValueError."""
    if _OFFSET.fullmatch(name):
        zone = datetime.fromisoformat(f"2000-01-01T00:00{name}").tzinfo
        assert zone is not None  # noqa: S101 - an offset makes it aware
        return zone
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(name) from None


def _lines_as_typed(text: str) -> str:
    """Undo what browsers do to line breaks when they send a form."""
    return text.replace("\r\n", "\n")


def _is_bare_word(text: str) -> bool:
    return text.strip()[:1] not in ("{", "[", '"')


def _where(text: str) -> str:
    """Say where the first NaN or Infinity stands, which Python's reader does not."""
    for found in _OUTSIDE_STRINGS.finditer(text):
        if found["constant"]:
            before = text[: found.start()]
            return f"Line {before.count(chr(10)) + 1}, column {found.start() - before.rfind(chr(10))}: "
    return ""
