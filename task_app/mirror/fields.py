"""From type hints to marshmallow fields, and from the text of a form to their values.

The fields are strict, because what they let through is stored as it was sent: marshmallow's own would take `"5"` for 5.
"""

import enum
import json
import types
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from marshmallow import ValidationError, fields, missing, validate

from ..files.hints import FileMark
from ..jobs.file_uses import is_file_id


class UnsupportedHint(Exception):
    """No field is known for a type hint."""


class Integer(fields.Integer):
    """A JSON number without fraction; neither a boolean nor a string."""

    def _validated(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.make_error("invalid", input=value)
        return value


class Number(fields.Float):
    """A JSON number; neither a boolean nor a string."""

    def _validated(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Boolean(fields.Boolean):
    """true or false, nothing that looks like it."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class Choice(fields.Raw):
    """One of a few literal values, of the same type: 1 is neither true nor 1.0."""

    def __init__(self, choices: Sequence[Any], **options: Any) -> None:
        super().__init__(**options)
        self.choices = list(choices)
        self.allow_none = self.allow_none or None in choices

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if any(type(value) is type(choice) and value == choice for choice in self.choices):
            return value
        raise ValidationError(f"Must be one of: {', '.join(map(str, self.choices))}.")


class FileReference(fields.String):
    """The id of a file. Whether it is there, `arguments.bind` asks for all files of a job at once."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not is_file_id(value):
            raise ValidationError("Not the id of a file.")
        return str(value)


class AnyOf(fields.Field[Any]):
    """Whatever one of several fields takes; the first that does wins."""

    def __init__(self, choices: Sequence[fields.Field[Any]], **options: Any) -> None:
        super().__init__(**options)
        self.choices = choices

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        problems: list[Any] = []
        for choice in self.choices:
            try:
                return choice.deserialize(value, attr, data)
            except ValidationError as error:
                problems.append(error.messages)
        raise ValidationError(problems)


def field_for(hint: Any, **options: Any) -> fields.Field[Any]:
    """Return the field for a type hint; `options` are those of every marshmallow field. Raises UnsupportedHint."""
    origin = get_origin(hint) or hint
    if isinstance(origin, Hashable) and origin in _MAKERS:
        return _MAKERS[origin](get_args(hint), options)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return fields.Enum(hint, by_value=True, **options)
    raise UnsupportedHint(f"there is no validation for the type hint {hint!r}")


_Parts = Sequence[Any]  # what stands in the brackets of a hint
_Options = dict[str, Any]


def _annotated(parts: _Parts, options: _Options) -> fields.Field[Any]:
    """Heed what stands beside the type: validators, and a string as the description."""
    # What stands around a union comes with the options of its choice, and is nearer to the parameter.
    options = dict(options)
    validators = [*options.pop("validate", ()), *(note for note in parts[1:] if isinstance(note, validate.Validator))]
    described = [note for note in parts[1:] if isinstance(note, str)]
    if described:
        options.setdefault("metadata", {"description": described[-1]})
    if any(isinstance(note, FileMark) for note in parts[1:]):
        return FileReference(validate=validators, **options)
    return field_for(parts[0], validate=validators, **options)


def _union(parts: _Parts, options: _Options) -> fields.Field[Any]:
    choices = [part for part in parts if part is not types.NoneType]
    if len(choices) < len(parts):
        options = {**options, "allow_none": True}
    if len(choices) == 1:
        return field_for(choices[0], **options)
    return AnyOf([field_for(choice) for choice in choices], **options)


def _anything(_: _Parts, options: _Options) -> fields.Field[Any]:
    return fields.Raw(**{**options, "allow_none": True})


def _literal(parts: _Parts, options: _Options) -> fields.Field[Any]:
    return Choice(parts, **options)


def _list(parts: _Parts, options: _Options) -> fields.Field[Any]:
    return fields.List(field_for(*(parts or (Any,))), **options)


def _mapping(parts: _Parts, options: _Options) -> fields.Field[Any]:
    key, value = parts or (str, Any)
    return fields.Dict(keys=field_for(key), values=field_for(value), **options)


def _of(field: type[fields.Field[Any]]) -> Callable[[_Parts, _Options], fields.Field[Any]]:
    return lambda _, options: field(**options)


_MAKERS: dict[Any, Callable[[_Parts, _Options], fields.Field[Any]]] = {
    int: _of(Integer),
    float: _of(Number),
    bool: _of(Boolean),
    str: _of(fields.String),
    datetime: _of(fields.DateTime),
    date: _of(fields.Date),
    Decimal: lambda _, options: fields.Decimal(as_string=True, **options),
    UUID: _of(fields.UUID),
    list: _list,
    Sequence: _list,
    Iterable: _list,
    dict: _mapping,
    Mapping: _mapping,
    Literal: _literal,
    Annotated: _annotated,
    Union: _union,
    types.UnionType: _union,
    types.NoneType: _anything,
    Any: _anything,
    object: _anything,
}


def add_to_json_schema(converter: Any, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Describe our own fields in JSON Schema (an attribute function of apispec's marshmallow plugin)."""
    if isinstance(field, Choice):
        return {"enum": field.choices}
    if isinstance(field, AnyOf):
        described = [converter.field2property(choice) for choice in field.choices]
        return {"anyOf": [*described, {"type": "null"}] if field.allow_none else described}
    if isinstance(field, FileReference):
        return {"format": "file-id"}
    if isinstance(field, fields.Decimal):
        return {"type": ["number", "string", *(["null"] if field.allow_none else [])]}
    return {}


# -- forms -------------------------------------------------------------------------------------------------------


def from_form(field: fields.Field[Any] | None, value: Any) -> Any:
    """Read the text of a form field, or the texts where it was given several times, as what the field wants.

    Text that can't be read is returned as it is, so that the field itself refuses it. An empty input means "not given"
    (`missing`), except for text.
    """
    if isinstance(field, fields.List):
        return [from_form(field.inner, item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if field is None or not isinstance(value, str) or type(field) in (fields.String, fields.Raw):
        return value
    if value == "":
        return None if field.allow_none else missing
    return _read(field, value)


def _read(field: fields.Field[Any], text: str) -> Any:
    value: Any = text
    with suppress(ValueError, RecursionError):
        match field:
            case fields.Integer():
                value = int(text)
            case fields.Float():
                value = float(text)
            case fields.Boolean() if text in field.truthy | field.falsy:
                value = text in field.truthy
            case fields.Mapping() | fields.Nested():
                value = json.loads(text)
            case fields.Enum():
                value = _same_text(text, [member.value for member in field.enum])
            case Choice():
                value = _same_text(text, field.choices)
            case AnyOf():
                value = _first_that_fits(text, field.choices)
    return value


def _same_text(text: str, values: Iterable[Any]) -> Any:
    return next((value for value in values if str(value) == text), text)


def _first_that_fits(text: str, choices: Iterable[fields.Field[Any]]) -> Any:
    for choice in choices:
        value = from_form(choice, text)
        try:
            choice.deserialize(value)
        except ValidationError:
            continue
        return value
    return text
