"""Arguments that are files: which they are, and whether the files are there."""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from ..files import service
from .fields import AnyOf, FileReference

NO_SUCH_FILE = "There is no such file."


def fields_for_files(schema: Schema) -> dict[str, fields.Field[Any]]:
    """Return those fields of a schema, by the names of arguments, whose values can hold ids of files."""
    return {field.data_key or name: field for name, field in schema.fields.items() if _wants_files(field)}


def missing_files(wanting: Mapping[str, fields.Field[Any]], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return messages, by argument, for files that are not there. One query; none where no file is named."""
    named = [
        (name, where, file_id)
        for name, field in wanting.items()
        if name in values
        for where, file_id in _files_in(field, values[name])
    ]
    there = service.existing(sorted({file_id for _, _, file_id in named})) if named else set()
    errors: dict[str, list[str]] = {}
    for name, where, file_id in named:
        if file_id not in there:
            errors.setdefault(name, []).append(f"{where}: {NO_SUCH_FILE}" if where else NO_SUCH_FILE)
    return errors


def _wants_files(field: fields.Field[Any]) -> bool:
    match field:
        case FileReference():
            return True
        case AnyOf():
            return any(map(_wants_files, field.choices))
        case fields.List():
            return _wants_files(field.inner)
        case fields.Dict():
            return field.value_field is not None and _wants_files(field.value_field)
    return False


def _files_in(field: fields.Field[Any], value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield each file that is named in a value, and where in it: index or key, with dots in between."""
    match field, value:
        case FileReference(), str():
            if _takes(field, value):
                yield where, value
        case AnyOf(), _:
            taking = next((choice for choice in field.choices if _takes(choice, value)), None)
            if taking is not None:
                yield from _files_in(taking, value, where)
        case fields.List(), list():
            for index, item in enumerate(value):
                yield from _files_in(field.inner, item, f"{where}.{index}" if where else str(index))
        case fields.Dict(), dict():
            for key, item in value.items():
                if field.value_field is not None:
                    yield from _files_in(field.value_field, item, f"{where}.{key}" if where else str(key))


def _takes(field: fields.Field[Any], value: Any) -> bool:
    try:
        field.deserialize(value)
    except ValidationError:
        return False
    return True
