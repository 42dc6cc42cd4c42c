"""Fields of a form, made from the fields of a schema: which control fits, what it says beside it, what emptiness means.

    field = FormField.of("delay", task_schema.fields["delay"], described["properties"]["delay"])
    field.fill(5)            # or field.take(request.form)
    value = field.value()    # a JSON value, or `missing`; messages are in field.errors

A value arrives exactly as by JSON: one that the fitting control can't show, such as text for a number, is edited as
JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import ValidationError, fields, missing
from werkzeug.datastructures import MultiDict

from ...mirror.fields import AnyOf, FileReference
from ...mirror.storable import faults
from . import controls
from .controls import Control, Typed, Unreadable, as_text
from .fitting import control_for, json_control
from .words import default_in_words, in_words, limits_in_words

#: A value of more characters is not put into the page when there is a way to leave it as it is.
LARGE = 50_000
PREVIEW = 2_000
#: What can stand beside an input.
BESIDE = ("zone", "unset", "blank", "json", "kept")

NEEDED = "This is needed."
_BOTH = "Clear the text or untick the box: both together say nothing."


@dataclass(kw_only=True)
class FormField:
    """One field of a form: its control, what is typed in it, and what is wrong with that."""

    name: str
    key: str  # name and id of its input
    schema: fields.Field[Any]
    control: Control
    kind: str = ""
    about: str = ""
    limits: str = ""
    is_required: bool = False
    is_nullable: bool = False
    default: Any = missing
    typed: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    refused: str = ""  # why a file that was chosen is not kept
    stored: list[str] = field(default_factory=list)  # files that came with the form, in words
    kept: Any = missing  # a large value that can stay as it is, unseen
    preview: str = ""

    @classmethod
    def of(cls, name: str, schema: fields.Field[Any], described: Mapping[str, Any], prefix: str = "arg") -> "FormField":
        """Make the field of an argument or option; `described` is its JSON Schema."""
        control = control_for(schema, described)
        is_choice = isinstance(control, controls.Choice) and not isinstance(schema, fields.Boolean)
        made = cls(
            name=name,
            key=f"{prefix}-{name}",
            schema=schema,
            control=control,
            kind="choice" if is_choice else in_words({**described, "enum": None}),
            about=str(schema.metadata.get("description", "")),
            limits=limits_in_words(schema, described),
            is_required=schema.required,
            is_nullable=schema.allow_none,
            default=described.get("default", missing),
        )
        if made.default is not missing:
            made.fill(made.default)
        elif not made.is_required:
            made.leave_out()
        return made

    @property
    def words(self) -> list[str]:
        """What is said beside the name: what kind of value, how it is written, its limits, its default."""
        how = "one per line" if isinstance(self.control, controls.Lines) else "JSON" if self.is_json else ""
        kind = f"{self.kind}, or null" if self.is_nullable else self.kind
        default = "" if self.default is missing else default_in_words(self.default)
        return [word for word in (kind, "" if how in kind else how, self.limits, default) if word]

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the input. What was typed and fits no number or date is shown as the text it is."""
        kind = self.control.attributes.get("type", "text")
        text = self.typed.get("", "")
        return {**self.control.attributes, **({} if not text or controls.fits(kind, text) else {"type": "text"})}

    @property
    def uploads(self) -> str:
        """How many files can be chosen here: "one", "many", or "" for none."""
        if isinstance(self.schema, fields.List) and isinstance(self.schema.inner, FileReference):
            return "many"
        return "one" if isinstance(self.schema, FileReference) else ""

    # -- what emptiness means --------------------------------------------------------------------------------------

    @property
    def empty(self) -> Any:
        """What an empty input means, where emptiness is no value of its own."""
        return None if self.is_nullable and not self._can_be_left_out else missing

    @property
    def unset(self) -> str | None:
        """What the tick beside a text says, where an empty text is not the same as no text; None without a tick."""
        if not self.control.emptiness or not (self.is_nullable or self._can_be_left_out):
            return None
        return "null" if self.empty is None else "not given"

    @property
    def nothing(self) -> str:
        """What the choice of nothing is called; empty where there is always something."""
        if self.empty is None:
            return "null"
        if self.is_required:
            return "choose…"
        return "" if self.default is not missing else "not given"

    @property
    def blank(self) -> str | None:
        """What the tick says with which emptiness is meant, where it is more likely a mistake; None without a tick."""
        if not self.is_required or self.is_nullable or not self.control.emptiness or self.typed.get(""):
            return None
        return self.control.emptiness if self.errors or self.typed.get("blank") else None

    @property
    def _can_be_left_out(self) -> bool:
        """Leaving it out means something that can't be shown."""
        return not self.is_required and self.default is missing

    @property
    def is_json(self) -> bool:
        """Say whether the value is edited as JSON."""
        return isinstance(self.control, controls.Json)

    # -- filling and reading ---------------------------------------------------------------------------------------

    def fill(self, value: Any, *, may_keep: bool = False) -> None:
        """Show a value. With `may_keep`, only the beginning of a large one, and the rest stays as it is."""
        if value is None and (self.empty is None or self.unset == "null") and not self.is_json:
            self.typed = {"": ""} | ({"unset": "on"} if self.unset else {})
            return
        shown = self.control.show(value)
        if shown is None or not self._same(self._read(shown), value):
            self.control = json_control()
            shown = {"": as_text(value, indent=2), "json": "on"}
        self.typed = shown if shown[""] or not self.is_required else {**shown, "blank": "on"}
        if may_keep and len(shown[""]) > LARGE:
            self.kept, self.preview = value, shown[""][:PREVIEW]
            self.typed = {"kept": "on"}

    def leave_out(self) -> None:
        """Show that the value is not given."""
        self.typed = {"": "", "unset": "on"} if self.unset else {"": ""}

    def take(self, form: MultiDict[str, str]) -> None:
        """Take over what was typed. A field that is not in the form stays as it is filled."""
        if form.get(f"{self.key}:kept") and self.kept is not missing:
            return
        if self.key not in form:
            return
        self.kept = missing
        self.typed = {"": form.getlist(self.key)[-1]}  # a tick comes after the hidden "false"
        self.typed |= {name: form[f"{self.key}:{name}"] for name in BESIDE if form.get(f"{self.key}:{name}")}
        if self.typed.get("json"):
            self.control = json_control()

    def value(self) -> Any:
        """Return the JSON value, or `missing`; what is wrong with it is then in `errors`."""
        self.errors = [self.refused] if self.refused else []
        if self.errors:
            return missing
        try:
            value = self.kept if self.kept is not missing else self._read(self.typed)
        except Unreadable as error:
            self.errors = [str(error)]
            return missing
        if value is not missing:
            self.errors = [
                f"{'.'.join(map(str, path[1:]))}: {message}" if path[1:] else message
                for path, message in faults({self.name: value})
            ]
        elif self.is_required:
            self.errors = [NEEDED]
        return missing if self.errors else value

    def is_default(self, value: Any) -> bool:
        """Say whether a value is what the task takes anyway."""
        return self.default is not missing and self._same(value, self.default)

    def refuse(self, messages: list[str]) -> None:
        """Put the schema's messages beside the field, unless it was not even readable."""
        if not self.errors:
            self.errors = [self._with_line(message) for message in messages]

    def refuse_for_good(self, message: str) -> None:
        """Say what is wrong with a file that was chosen: what else is in the field does not mend it."""
        self.refused = message
        self.errors = [message]

    def _with_line(self, message: str) -> str:
        """Turn the index of an item into the number of its line."""
        index, colon, text = message.partition(": ")
        written = self.typed.get("", "").replace("\r\n", "\n")
        if not colon or not index.isdecimal() or not isinstance(self.control, controls.Lines) or written[:1] == "[":
            return message
        lines = [number for number, line in enumerate(written.split("\n"), start=1) if line.strip()]
        return f"Line {lines[int(index)]}: {text}"

    def _read(self, typed: Typed) -> Any:
        text = typed.get("", "")
        if self.unset and typed.get("unset") and not typed.get("json"):
            if text:
                raise Unreadable(_BOTH)
            return self.empty
        if self.control.emptiness:
            is_mistake = text == "" and self.is_required and not (self.is_nullable or typed.get("blank"))
            return missing if is_mistake else self.control.read({"": text})
        if not text.strip():
            return missing if self.is_json else self.empty
        return self.control.read({**typed, "": text})

    def _same(self, one: Any, other: Any) -> bool:
        """Say whether a task gets the same from two JSON values."""
        if one is missing or other is missing:
            return one is other
        if as_text(one) == as_text(other):
            return True
        if isinstance(self.schema, fields.Raw | AnyOf) or None in (one, other):
            return False
        try:
            first, second = self.schema.deserialize(one), self.schema.deserialize(other)
        except ValidationError:
            return False
        return type(first) is type(second) and repr(first) == repr(second)
