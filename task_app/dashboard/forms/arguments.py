"""The part of a form that holds a task's arguments: from a job, or defaults, to fields, and from fields to a call."""

from collections.abc import Mapping, Sequence
from typing import Any

import celery
from marshmallow import EXCLUDE, INCLUDE, fields, missing
from werkzeug.datastructures import FileStorage, MultiDict

from ...jobs.view import JobView
from ...mirror import arguments
from . import uploads
from .field import FormField

_BEFORE = "This is needed, because what follows is given by position."


class ArgumentsForm:
    """Fields for the arguments of one task.

    What a job had by position stays by position, and so does what a task takes only that way. Everything else goes by
    name. An argument that is as the task has it anyway is not sent, unless the job had it.
    """

    def __init__(self, task: celery.Task, job: JobView | None = None, *, may_keep: bool = False) -> None:
        self.task = task
        self.signature = arguments.signature_of(task)
        args: Sequence[Any] = job.args if job else ()
        kwargs: Mapping[str, Any] = job.kwargs if job else {}
        self.fields = self._fields(len(args))
        self.more_args, self.more_kwargs = _more("args"), _more("kwargs")
        self._given = set(kwargs)
        self._by_position = max(len(self.signature.positional_only), min(len(args), len(self.signature.positional)))
        if job:
            self._fill(args, kwargs, may_keep=may_keep)

    @property
    def all_fields(self) -> list[FormField]:
        """Every field that is shown, in order."""
        schema, more = self.signature.schema, []
        if self.signature.more_positional or self.more_args.typed.get("") or self.more_args.errors:
            more.append(self.more_args)
        if schema.unknown in (INCLUDE, EXCLUDE) or self.more_kwargs.typed.get("") or self.more_kwargs.errors:
            more.append(self.more_kwargs)
        return [*self.fields.values(), *more]

    @property
    def takes_files(self) -> bool:
        """Say whether files can be chosen in the form."""
        return any(field.uploads for field in self.fields.values())

    @property
    def wrong_fields(self) -> list[FormField]:
        """The fields that something is wrong with."""
        return [field for field in self.all_fields if field.errors]

    def take(self, form: MultiDict[str, str]) -> None:
        """Take over what was typed."""
        for field in (*self.fields.values(), self.more_args, self.more_kwargs):
            field.take(form)

    def take_uploads(self, files: MultiDict[str, FileStorage], sent_before: JobView | None = None) -> None:
        """Keep the files that were chosen; `sent_before` is the job that this form has made already, if it has."""
        uploads.take_uploads(self.fields.values(), files, sent_before)

    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and named arguments as far as they can be read; what can't is said in the fields."""
        values = {name: field.value() for name, field in self.fields.items()}
        extra, named = self.more_args.value(), self.more_kwargs.value()
        args = self._positional(values, extra if isinstance(extra, list) else [])
        by_name = [name for name in self.fields if self._is_by_name(name, len(args))]
        kwargs = {name: values[name] for name in by_name if self._is_sent(name, values[name])}
        if isinstance(named, dict):
            kwargs |= self._without_fields(named)
        self._must_be(self.more_args, extra, list, "a JSON array")
        self._must_be(self.more_kwargs, named, dict, "a JSON object")
        return args, kwargs

    def refuse(self, errors: Mapping[str, Any]) -> list[str]:
        """Put the messages of the schema (`{"args": {"0": […]}, "kwargs": {"a": […]}}`) beside the fields."""
        general: list[str] = []
        for place in ("args", "kwargs"):
            found = errors.get(place, {})
            if not isinstance(found, Mapping):
                general += found
                continue
            for key, messages in found.items():
                self._refuse(place, key, messages)
        if general:
            largest = max(self.all_fields, key=_size, default=None)
            if largest is None or not _size(largest):
                return general
            largest.refuse(general)
        return []

    # -- the rest is how -------------------------------------------------------------------------------------------

    def _fields(self, given: int) -> dict[str, FormField]:
        described = arguments.json_schema_of(self.task)["properties"]
        found = {
            field.data_key or name: field for name, field in self.signature.schema.fields.items() if not field.dump_only
        }
        # An author's schema may lack what a job was given by position.
        for name in self.signature.positional[:given]:
            found.setdefault(name, fields.Raw(allow_none=True))
        in_order = [name for name in self.signature.positional if name in found]
        in_order += [name for name in found if name not in in_order]
        return {name: FormField.of(name, found[name], described.get(name, {})) for name in in_order}

    def _fill(self, args: Sequence[Any], kwargs: Mapping[str, Any], *, may_keep: bool) -> None:
        given = dict(zip(self.signature.positional, args, strict=False))
        extra = args[len(given) :]
        given |= {name: value for name, value in kwargs.items() if name in self.fields}
        for name, value in given.items():
            self.fields[name].fill(value, may_keep=may_keep)
        if extra:
            self.more_args.fill(list(extra), may_keep=may_keep)
        if more := {name: value for name, value in kwargs.items() if name not in self.fields}:
            self.more_kwargs.fill(more, may_keep=may_keep)

    def _positional(self, values: Mapping[str, Any], extra: list[Any]) -> list[Any]:
        """Return what goes by position. Nothing can be left out there but at the end."""
        count = len(self.signature.positional) if extra else self._by_position
        args = [values.get(name, missing) for name in self.signature.positional[:count]]
        if not extra:
            while args and args[-1] is missing:
                args.pop()
        for index, value in enumerate(args):
            if value is missing:
                args[index] = self._standing_in(self.signature.positional[index])
        return args + extra

    def _standing_in(self, name: str) -> Any:
        field = self.fields.get(name)
        if field is None:
            return None
        if field.default is missing and not field.errors:
            field.errors = [_BEFORE]
        return None if field.default is missing else field.default

    def _is_by_name(self, name: str, positional: int) -> bool:
        return name not in self.signature.positional[:positional] and name not in self.signature.positional_only

    def _is_sent(self, name: str, value: Any) -> bool:
        if value is missing:
            return False
        # The author's own schema may name another default than the function has.
        applies_itself = getattr(self.task, "schema", None) is None
        return name in self._given or not (applies_itself and self.fields[name].is_default(value))

    def _without_fields(self, named: dict[str, Any]) -> dict[str, Any]:
        for name in named.keys() & self.fields.keys():
            self.more_kwargs.errors.append(f"{name} has a field of its own.")
        return {name: value for name, value in named.items() if name not in self.fields}

    @staticmethod
    def _must_be(field: FormField, value: Any, kind: type, what: str) -> None:
        if value is not missing and not isinstance(value, kind):
            field.refuse([f"This must be {what}."])

    def _refuse(self, place: str, key: str, messages: list[str]) -> None:
        names = self.signature.positional
        name = names[int(key)] if place == "args" and int(key) < len(names) else key
        if name in self.fields:
            self.fields[name].refuse(messages)
        else:
            more = self.more_args if place == "args" else self.more_kwargs
            more.errors += [f"{name}: {message}" for message in messages]


def _more(place: str) -> FormField:
    is_args = place == "args"
    field = FormField.of(
        "more by position" if is_args else "more by name",
        fields.Raw(allow_none=True),
        {"type": "array" if is_args else "object"},
        prefix="more",
    )
    field.key, field.is_nullable = f"more-{place}", False
    field.kind = "JSON array" if is_args else "JSON object"
    field.about = "Arguments after those above." if is_args else "Arguments with other names."
    return field


def _size(field: FormField) -> int:
    return len(field.typed.get("", "")) + len(field.preview)
