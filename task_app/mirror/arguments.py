"""The arguments of a task: a marshmallow schema, from the type hints of its function or given by its author.

Doors call `bind` before they submit, so that bad arguments never become a row. The schema is strict: a number is not a
string, a boolean is not a number. What `bind` returns is JSON as the caller sent it; `revive` turns it into what the
hints promise when the task runs.
"""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

import celery
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import EXCLUDE, INCLUDE, RAISE, Schema, ValidationError, fields, missing

from ..errors import TaskAppError
from .fields import UnsupportedHint, add_to_json_schema, field_for, from_form
from .file_arguments import fields_for_files, missing_files
from .storable import faults

_KINDS = inspect.Parameter
_CACHE = "_task_app_signature"


class ArgumentErrors(TaskAppError):
    """The arguments don't fit the task.

    `errors` holds the messages by argument name; `positions` tells which of these were given by position.
    """

    def __init__(self, task: str, errors: dict[str, list[str]], positions: Mapping[str, int]) -> None:
        super().__init__(f"wrong arguments for task {task}: {', '.join(sorted(errors))}")
        self.task = task
        self.errors = errors
        self.positions = {name: position for name, position in positions.items() if name in errors}


class WrongTask(TaskAppError):
    """A developer's error: arguments of this task can't be validated. Its text names the task and the parameter."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a task can be called with."""

    positional: tuple[str, ...]  # names of parameters that may be given by position, in order
    positional_only: frozenset[str]
    more_positional: bool  # has *args
    schema: Schema
    for_files: Mapping[str, fields.Field[Any]]  # those of the schema's fields that can name files


def signature_of(task: celery.Task) -> Signature:
    """Return what a task can be called with. Raises WrongTask."""
    found: Signature | None = getattr(task, _CACHE, None)
    if found is None:
        found = _read_signature(task)
        setattr(task, _CACHE, found)
    return found


def schema_of(task: celery.Task) -> Schema:
    """Return the schema of a task's arguments, by name. Raises WrongTask."""
    return signature_of(task).schema


def check(task: celery.Task) -> None:
    """Make sure, when the app starts, that the task's arguments can be validated and described. Raises WrongTask."""
    json_schema_of(task)


def bind(
    task: celery.Task,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    coerce: bool = False,
    storable: bool = False,
) -> tuple[list[Any], dict[str, Any]]:
    """Validate arguments against the signature and return them as JSON values, given the same way.

    With `coerce` they come from a form: strings, or lists of strings, are read as what the task wants. With `storable`
    somebody has seen to it already that they can be kept, see `storable.faults`.
    Raises ArgumentErrors.
    """
    signature = signature_of(task)
    if coerce:
        kwargs = _read_form(signature.schema, kwargs)
    by_position, extra = _by_position(signature, args)
    errors: dict[str, list[str]] = {}
    if extra and not signature.more_positional:
        errors[_nth(len(by_position))] = [f"The task takes at most {len(by_position)} positional arguments."]
    values = {name: args[index] for name, index in by_position.items()}
    for name, value in kwargs.items():
        if name in by_position:
            errors[name] = ["Given twice, by position and by name."]
        elif name in signature.positional_only:
            errors[name] = ["Must be given by position."]
        else:
            values[name] = value
    looked_at = [] if storable else [*values.items(), *((_nth(index), args[index]) for index in extra)]
    for name, value in looked_at:
        if found := [_in(path, message) for path, message in faults({name: value})]:
            errors.setdefault(name, found)
    errors = _not_fitting(signature, values) | errors
    if errors:
        raise ArgumentErrors(task.name, errors, by_position | {_nth(index): index for index in extra})
    return list(args), dict(kwargs)


def _not_fitting(signature: Signature, values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return messages, by argument, for what the schema refuses and for files that are not there."""
    refused = {str(name): list(_flat(found)) for name, found in signature.schema.validate(values).items()}
    return missing_files(signature.for_files, values) | refused if signature.for_files else refused


def revive(task: celery.Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Turn JSON values into what the hints promise (dates, decimals, enumerations), for the worker that runs the task.

    It never refuses: a value that doesn't fit, or is of the right type already, is passed on as it is.
    """
    signature = signature_of(task)
    named = signature.schema.fields
    positional = [_revived(named.get(name), value) for name, value in zip(signature.positional, args, strict=False)]
    return (
        positional + list(args[len(positional) :]),
        {name: _revived(named.get(name), value) for name, value in kwargs.items()},
    )


def json_schema_of(task: celery.Task) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the task's arguments by name. Raises WrongTask."""
    return json_schema(schema_of(task))


def json_schema(schema: Schema) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a marshmallow schema."""
    described: dict[str, Any] = _converter().schema2jsonschema(schema)
    described["additionalProperties"] = schema.unknown in (INCLUDE, EXCLUDE)
    return described


# -- from the function to the schema -----------------------------------------------------------------------------


def _read_signature(task: celery.Task) -> Signature:
    run = task.run  # or Celery's wrapper around it (autoretry_for), which `inspect` sees through
    parameters = inspect.signature(run).parameters.values()
    by_position = [p for p in parameters if p.kind in (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)]
    given = getattr(task, "schema", None)
    schema = _derived_schema(task, run, parameters) if given is None else _given_schema(task, given, parameters)
    return Signature(
        positional=tuple(p.name for p in by_position),
        positional_only=frozenset(p.name for p in by_position if p.kind is _KINDS.POSITIONAL_ONLY),
        more_positional=any(p.kind is _KINDS.VAR_POSITIONAL for p in parameters),
        schema=schema,
        for_files=fields_for_files(schema),
    )


def _given_schema(task: celery.Task, given: Any, parameters: Iterable[inspect.Parameter]) -> Schema:
    schema: Schema = given() if isinstance(given, type) else given
    if not isinstance(schema, Schema):
        raise WrongTask(f"task {task.name}: its schema must be a marshmallow schema")
    if not any(p.kind is _KINDS.VAR_KEYWORD for p in parameters):
        for name in schema.fields.keys() - {p.name for p in parameters}:
            raise WrongTask(f"task {task.name}: its schema has a field {name!r}, its function no such parameter")
    return schema


def _derived_schema(task: celery.Task, run: Any, parameters: Iterable[inspect.Parameter]) -> Schema:
    hints = _hints_of(task, run)
    found = {
        parameter.name: _field_of(task, parameter, hints.get(parameter.name, Any))
        for parameter in parameters
        if parameter.kind not in (_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD)
    }
    more = any(p.kind is _KINDS.VAR_KEYWORD for p in parameters)
    return Schema.from_dict(found)(unknown=INCLUDE if more else RAISE)


def _hints_of(task: celery.Task, run: Any) -> dict[str, Any]:
    function = inspect.unwrap(getattr(run, "__func__", run))
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        raise WrongTask(f"task {task.name}: a type hint can't be read: {error}") from None


def _field_of(task: celery.Task, parameter: inspect.Parameter, hint: Any) -> fields.Field[Any]:
    try:
        if parameter.default is parameter.empty:
            return field_for(hint, required=True)
        # `def f(x: int = None)` means that None is fine.
        field = field_for(hint, allow_none=True) if parameter.default is None else field_for(hint)
    except UnsupportedHint as error:
        raise WrongTask(
            f"task {task.name}, parameter {parameter.name}: {error}."
            " Use another hint, or give the task a marshmallow schema (@shared_task(schema=...))"
        ) from None
    _note_default(field, parameter.default)
    return field


def _note_default(field: fields.Field[Any], default: Any) -> None:
    """Show the default in the JSON Schema, where JSON can show it; the function itself applies it."""
    if type(field) is fields.String and not isinstance(default, str | None):
        return  # marshmallow would write any object as text
    try:
        value = field.serialize("default", {"default": default})
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, AttributeError):
        return
    field.metadata = {**field.metadata, "default": value}


def _converter() -> Any:
    # Nested schemas are written in place: there is no document here to refer to.
    plugin = MarshmallowPlugin(schema_name_resolver=lambda schema: None)  # type: ignore[arg-type,return-value]
    APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    converter: Any = plugin.converter
    converter.add_attribute_function(add_to_json_schema)
    return converter


# -- from the values to the errors -------------------------------------------------------------------------------


def _by_position(signature: Signature, args: Sequence[Any]) -> tuple[dict[str, int], range]:
    """Name the positional arguments; the rest is a range of indexes."""
    named = {name: index for index, name in enumerate(signature.positional[: len(args)])}
    return named, range(len(named), len(args))


def _read_form(schema: Schema, form: Mapping[str, Any]) -> dict[str, Any]:
    read = {name: from_form(schema.fields.get(name), value) for name, value in form.items()}
    return {name: value for name, value in read.items() if value is not missing}


def _revived(field: fields.Field[Any] | None, value: Any) -> Any:
    if field is None or value is None:
        return value
    try:
        return field.deserialize(value)
    except ValidationError:
        return value


def _nth(index: int) -> str:
    return f"args[{index}]"


def _in(path: tuple[str | int, ...], message: str) -> str:
    where = ".".join(str(step) for step in path[1:])
    return f"{where}: {message}" if where else message


def _flat(messages: Any, where: str = "") -> Iterator[str]:
    """Write marshmallow's nested messages as lines: `2.name: Not a valid string.`"""
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _flat(inner, f"{where}.{key}" if where else str(key))
    elif isinstance(messages, list | tuple):
        for inner in messages:
            yield from _flat(inner, where)
    else:
        yield f"{where}: {messages}" if where else str(messages)
