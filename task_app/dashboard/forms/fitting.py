"""Which control fits a field of a schema."""

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from ...mirror.fields import Choice, FileReference
from . import controls
from .controls import Control

#: Longer text gets several lines. Text without a limit is long.
LONGEST_LINE = 255

_AS_TYPED = ("iso", "iso8601", None)  # formats of dates that browsers write


def json_control() -> Control:
    """Return the control that fits everything."""
    return controls.Json(attributes={"rows": 3, "class": "mono"})


def control_for(schema: fields.Field[Any], described: Mapping[str, Any]) -> Control:
    """Return the control for a field of a schema."""
    if (values := _choices(schema, described)) is not None:
        return controls.Choice.of(values)
    if isinstance(schema, fields.Boolean):
        has_two_states = isinstance(described.get("default"), bool) and not schema.allow_none
        return controls.Tick() if has_two_states else controls.Choice.of([True, False])
    if isinstance(schema, fields.List):
        return _list_control(schema.inner, described.get("items", {}))
    return _single_control(schema, described) or json_control()


def _choices(schema: fields.Field[Any], described: Mapping[str, Any]) -> list[Any] | None:
    if isinstance(schema, Choice):
        return [choice for choice in schema.choices if choice is not None]
    if isinstance(schema, fields.Enum):
        return [value for value in described.get("enum", ()) if value is not None]
    if isinstance(schema, fields.String):
        for validator in schema.validators:
            if type(validator) is validate.OneOf:  # one that inherits from it means something else
                return list(validator.choices)
    return None


def _list_control(inner: fields.Field[Any], described: Mapping[str, Any]) -> Control:
    """Return lines for values that stand well on a line of their own."""
    of = _line_control(inner, described)
    return (
        json_control()
        if of is None or inner.allow_none
        else controls.Lines(of=of, attributes={"rows": 3, "class": "mono"})
    )


def _line_control(inner: fields.Field[Any], described: Mapping[str, Any]) -> Control | None:
    if (values := _choices(inner, described)) is not None:
        return controls.Line() if all(isinstance(value, str) for value in values) else None
    of = _single_control(inner, described)
    if isinstance(of, controls.Area):
        return controls.Line()
    return of if isinstance(of, controls.Line | controls.Number) else None


def _single_control(schema: fields.Field[Any], described: Mapping[str, Any]) -> Control | None:
    """Return the control for a field that is neither a choice nor a list; None if only JSON will do."""
    match schema:
        case fields.Decimal():
            return controls.Exact(attributes={"type": "text", "inputmode": "decimal"})
        case fields.Number() | fields.TimeDelta():
            return controls.Number(attributes=_number_attributes(schema, described))
        case fields.DateTime():
            return _moment_control(schema, described)
        case fields.Date() | fields.Time() | fields.UUID() | fields.IP() | FileReference():
            return controls.Line(attributes=_line_attributes(schema))
        case fields.String():
            return _text_control(schema, described)
    return None


def _line_attributes(schema: fields.Field[Any]) -> dict[str, Any]:
    if isinstance(schema, fields.Date) and schema.format in _AS_TYPED:
        return {"type": "date"}
    if isinstance(schema, fields.Time) and schema.format in _AS_TYPED:
        return {"type": "time", "step": 1}
    return {"type": "text", "class": "mono"}


def _text_control(schema: fields.String, described: Mapping[str, Any]) -> Control:
    # Browsers change what they take for an email or web address, so these are text.
    mode = {"email": "email", "url": "url"}.get(str(described.get("format")))
    if mode is None and described.get("maxLength", LONGEST_LINE + 1) > LONGEST_LINE and not _is_address(schema):
        return controls.Area(attributes={"rows": 2})
    mode = mode or ("email" if _is_address(schema) else "text")
    return controls.Text(attributes={"type": "text", "inputmode": mode})


def _is_address(schema: fields.String) -> bool:
    return any(isinstance(validator, validate.Email) for validator in schema.validators)


def _moment_control(schema: fields.DateTime, described: Mapping[str, Any]) -> Control:
    if described.get("type") == "number":  # seconds since 1970
        return controls.Number(attributes={"type": "number", "step": "any"})
    if described.get("format") != "date-time":
        return controls.Line(attributes={"type": "text"})
    if isinstance(schema, fields.NaiveDateTime):
        return _moment(takes_naive=True, takes_aware=schema.timezone is not None)
    if isinstance(schema, fields.AwareDateTime):
        return _moment(takes_naive=schema.default_timezone is not None)
    return _moment(takes_naive=True)


def _moment(**takes: bool) -> Control:
    return controls.Moment(attributes={"type": "datetime-local"}, **takes)


def _number_attributes(schema: fields.Field[Any], described: Mapping[str, Any]) -> dict[str, Any]:
    limits = {
        html: described[name]
        for html, name in (("min", "minimum"), ("max", "maximum"))
        if isinstance(described.get(name), int | float)
    }
    return {"type": "number", "step": 1 if isinstance(schema, fields.Integer) else "any", **limits}
