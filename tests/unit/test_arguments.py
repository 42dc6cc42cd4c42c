"""Arguments of tasks: what is accepted, what is refused and how it is described."""

import enum
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import celery
import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from task_app.mirror import arguments
from task_app.mirror.arguments import ArgumentErrors, WrongTask, bind, json_schema_of, revive, schema_of
from task_app.mirror.storable import DEEPEST

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


def task(function: Callable[..., Any], **options: Any) -> Any:
    """Make a task of a function, in an app of its own."""
    return celery.Celery("one", set_as_current=False).task(function, name="one", shared=False, **options)


def task_with(hint: Any) -> Any:
    """Make a task with one required parameter `x`."""

    def run(x): ...  # type: ignore[no-untyped-def]

    run.__annotations__["x"] = hint
    return task(run)


def errors_of(one: Any, *args: Any, coerce: bool = False, **kwargs: Any) -> dict[str, list[str]]:
    with pytest.raises(ArgumentErrors) as caught:
        bind(one, args, kwargs, coerce=coerce)
    return caught.value.errors


ACCEPTED = [
    (int, 5),
    (int, -(10**400)),
    (float, 5),
    (float, 1.5),
    (bool, True),
    (str, ""),
    (str, "ünï😀"),
    (list, [1, "a", None]),
    (list[int], [1, 2]),
    (list[int | None], [1, None]),
    (dict, {"a": [1]}),
    (dict[str, list[int]], {"a": [1]}),
    (Any, None),
    (Any, {"a": [1, {"b": 1.5}]}),
    (object, 1),
    (None, None),
    (int | None, 5),
    (int | str, "a"),
    (int | str | None, None),
    (Literal["a", 1], 1),
    (Literal["a", None], None),
    (Color, "red"),
    (Color, 2),
    (datetime, "2030-01-31T12:00:00Z"),
    (datetime, "2030-01-31T12:00:00.5+02:00"),
    (date, "2030-01-31"),
    (Decimal, "1.10"),
    (Decimal, 1.5),
    (UUID, ID),
    (Annotated[int, validate.Range(1, 5)], 5),
    (list[Annotated[str, validate.Length(max=2)]], ["ab"]),
    (Annotated[Annotated[str, validate.Length(max=2)] | None, validate.Length(min=2), "Short."], "ab"),
    (Any, {"__type__": "datetime", "__value__": "2030-01-31T12:00:00"}),
    (Any, {"__type__": "nothing", "__value__": 1, "more": 2}),
]

REFUSED = [
    (int, "5"),
    (int, 5.0),
    (int, True),
    (int, None),
    (int, [5]),
    (float, "1.5"),
    (float, True),
    (float, float("nan")),
    (float, float("-inf")),
    (float, 10**400),
    (bool, 1),
    (bool, "true"),
    (str, 5),
    (str, None),
    (str, "a\0b"),
    (str, "\ud800"),
    (list, "abc"),
    (list, {"a": 1}),
    (list[int], [1, "2"]),
    (list[int], [1, None]),
    (dict, [1]),
    (dict[str, int], {"a": "1"}),
    (int | None, "5"),
    (int | str, 1.5),
    (int | str, None),
    (Literal["a", 1], True),
    (Literal["a", 1], 1.0),
    (Literal["a", 1], []),
    (Color, "RED"),
    (Color, []),
    (Color, None),
    (datetime, 5),
    (datetime, "2030-02-31T12:00:00Z"),
    (date, "today"),
    (Decimal, "x"),
    (Decimal, "NaN"),
    (Decimal, True),
    (UUID, "x"),
    (UUID, 5),
    (Annotated[int, validate.Range(1, 5)], 6),
    (list[Annotated[str, validate.Length(max=2)]], ["abc"]),
    (Annotated[Annotated[str, validate.Length(max=2)] | None, validate.Length(min=2), "Short."], "abc"),
    (Annotated[Annotated[str, validate.Length(max=2)] | None, validate.Length(min=2), "Short."], "a"),
    (Any, {"a": ["x\0"]}),
    (Any, {"a\0": 1}),
    (Any, {"a": {"\udfff": 1}}),
    (Any, {"__type__": "nothing", "__value__": 1}),
    (Any, [{"__type__": "datetime", "__value__": "x"}]),
    (Any, {"__type__": "uuid", "__value__": "x"}),
    (Any, {"__type__": [], "__value__": "x"}),
]


@pytest.mark.parametrize(("hint", "value"), ACCEPTED)
def test_a_fitting_value_is_returned_as_it_was_given(hint: Any, value: Any) -> None:
    assert bind(task_with(hint), [], {"x": value}) == ([], {"x": value})
    assert bind(task_with(hint), [value], {}) == ([value], {})


@pytest.mark.parametrize(("hint", "value"), REFUSED)
def test_another_value_is_refused_by_the_name_of_its_parameter(hint: Any, value: Any) -> None:
    assert errors_of(task_with(hint), x=value).keys() == {"x"}
    assert errors_of(task_with(hint), value).keys() == {"x"}


def test_every_problem_is_told_at_once() -> None:
    def run(a: int, b: int, c: int = 0) -> None: ...

    one = task(run)
    assert errors_of(one, "1", d=1, c="c") == {
        "a": ["Not a valid integer."],
        "b": ["Missing data for required field."],
        "c": ["Not a valid integer."],
        "d": ["Unknown field."],
    }
    assert errors_of(one, 1, 2, a=1) == {"a": ["Given twice, by position and by name."]}
    assert errors_of(one, 1, 2, 3, 4, 5) == {"args[3]": ["The task takes at most 3 positional arguments."]}


def test_errors_tell_what_was_given_by_position() -> None:
    def run(a: int, b: int) -> None: ...

    with pytest.raises(ArgumentErrors) as caught:
        bind(task(run), ["x"], {"b": "y"})
    assert caught.value.positions == {"a": 0}


def test_nested_problems_say_where() -> None:
    assert errors_of(task_with(list[dict[str, int]]), x=[{"a": 1}, {"b": "2"}]) == {
        "x": ["1.b.value: Not a valid integer."]
    }
    assert errors_of(task_with(Any), x={"a": ["\0"]})["x"][0].startswith("a.0: ")


NUL: dict[str, Any] = {"\0": 1}


def test_kinds_of_parameters() -> None:
    def by_position(a: int, /, b: int = 1) -> None: ...

    def by_name(*, a: int) -> None: ...

    def open_ended(a: int, *more: Any, **named: Any) -> None: ...

    assert bind(task(by_position), [1], {"b": 2}) == ([1], {"b": 2})
    assert errors_of(task(by_position), a=1) == {"a": ["Must be given by position."]}
    assert bind(task(by_name), [], {"a": 1}) == ([], {"a": 1})
    assert errors_of(task(by_name), 1).keys() == {"a", "args[0]"}
    assert bind(task(open_ended), [1, "x", None], {"z": [1]}) == ([1, "x", None], {"z": [1]})
    assert errors_of(task(open_ended), 1, "x", "\0", z="\0", **NUL).keys() == {"args[2]", "z", "\0"}


def test_bound_and_retrying_tasks_are_read_through() -> None:
    def run(self: Any, a: int, b: str = "x") -> None: ...

    for options in ({}, {"autoretry_for": (ValueError,), "retry_backoff": True}):
        one = task(run, bind=True, **options)
        assert list(schema_of(one).fields) == ["a", "b"]
        assert bind(one, [1], {}) == ([1], {})
        assert errors_of(one, "x").keys() == {"a"}


def test_a_parameter_without_a_hint_takes_any_json() -> None:
    def run(a, b=1): ...  # type: ignore[no-untyped-def]

    for value in (None, 1, "x", [1], {"a": None}):
        assert bind(task(run), [value], {"b": value}) == ([value], {"b": value})


def test_none_as_default_allows_none() -> None:
    def run(a: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013 - as people write it

    assert bind(task(run), [], {"a": None}) == ([], {"a": None})


def texts(value: Any) -> Iterator[str]:
    """Yield every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value:
            yield from texts(inner)
        if isinstance(value, dict):
            yield from texts(list(value.values()))


TEXT = st.text(st.characters() | st.sampled_from("\0\ud800\udfff"))
JSON = st.recursive(st.none() | st.integers() | TEXT, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner))


@given(JSON)
def test_json_is_refused_exactly_when_a_text_in_it_cannot_be_stored(value: Any) -> None:
    bad = any("\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text) for text in texts(value))
    if bad:
        errors_of(ANYTHING, value)
    else:
        bind(ANYTHING, [value], {})
        json.dumps(value, ensure_ascii=False).encode()


ANYTHING = task_with(Any)


def test_nesting_has_an_end() -> None:
    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    assert bind(ANYTHING, [nested(DEEPEST)], {})
    for depth in (DEEPEST + 1, 100_000):
        assert errors_of(ANYTHING, nested(depth)) == {"x": ["Must not be nested deeper than 100 levels."]}


# -- forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (int, "5", 5),
        (int, ["5"], 5),
        (float, "1.5", 1.5),
        (bool, "on", True),
        (bool, "false", False),
        (str, "5", "5"),
        (str, "", ""),
        (Any, "5", "5"),
        (list[int], ["1", "2"], [1, 2]),
        (list[int], "1", [1]),
        (dict, '{"a": 1}', {"a": 1}),
        (int | None, "", None),
        (int | str, "5", 5),
        (int | str, "x", "x"),
        (Literal[1, "a"], "1", 1),
        (Color, "2", 2),
        (date, "2030-01-31", "2030-01-31"),
    ],
)
def test_form_text_is_read_as_what_the_task_wants(hint: Any, text: Any, value: Any) -> None:
    assert bind(task_with(hint), [], {"x": text}, coerce=True) == ([], {"x": value})


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "x"),
        (int, "1.5"),
        (int, "9" * 5000),
        (int, ["1", "2"]),
        (float, "nan"),
        (float, "inf"),
        (bool, "maybe"),
        (str, ["a", "b"]),
        (str, "\0"),
        (dict, "{"),
        (dict, "[" * 100_000),
        (list[int], ["1", "x"]),
        (Literal[1], "2"),
        (Color, "x"),
        (int, ""),
    ],
)
def test_other_form_text_is_refused(hint: Any, text: Any) -> None:
    assert errors_of(task_with(hint), x=text, coerce=True).keys() == {"x"}


def test_an_empty_input_of_a_form_is_not_given() -> None:
    def run(a: int = 5, b: str = "x") -> None: ...

    assert bind(task(run), [], {"a": "", "b": ""}, coerce=True) == ([], {"b": ""})


# -- schemas -----------------------------------------------------------------------------------------------------


def test_the_json_schema_says_all_that_is_checked() -> None:
    def run(
        n: Annotated[int, validate.Range(1, 5), "How many."],
        when: date | None = None,
        kind: Literal["a", "b"] = "a",
        color: Color = Color.RED,
        items: list[float] = [],  # noqa: B006 - only its JSON matters
        price: Decimal = Decimal("1.5"),
        choice: int | str | None = 1,
        anything: Any = NUL,
    ) -> None: ...

    assert json_schema_of(task(run)) == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 5, "description": "How many."},
            "when": {"type": ["string", "null"], "format": "date", "default": None},
            "kind": {"enum": ["a", "b"], "default": "a"},
            "color": {"enum": ["red", 2], "default": "red"},
            "items": {"type": "array", "items": {"type": "number"}, "default": []},
            "price": {"type": ["number", "string"], "default": "1.5"},
            "choice": {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}], "default": 1},
            "anything": {"default": {"\0": 1}},
        },
        "required": ["n"],
        "additionalProperties": False,
    }


def test_the_json_schema_of_open_ended_tasks_is_open() -> None:
    def run(**named: Any) -> None: ...

    assert json_schema_of(task(run))["additionalProperties"] is True


class Order(Schema):
    low = fields.Integer(required=True, strict=True)
    high = fields.Integer(strict=True, load_default=10)

    @validates_schema
    def in_order(self, data: dict[str, int], **kwargs: Any) -> None:
        if data["low"] > data["high"]:
            raise ValidationError("low must not be above high")


@pytest.mark.parametrize("schema", [Order, Order()])
def test_a_schema_of_the_author_is_used(schema: Any) -> None:
    def run(low, high=10): ...  # type: ignore[no-untyped-def]

    one = task(run, schema=schema)
    assert isinstance(schema_of(one), Order)
    assert bind(one, [1], {}) == ([1], {})
    assert bind(one, [], {"low": "1"}, coerce=True) == ([], {"low": 1})
    assert errors_of(one, 11) == {"_schema": ["low must not be above high"]}
    assert errors_of(one).keys() == {"low"}
    assert json_schema_of(one)["required"] == ["low"]


def test_the_schema_is_made_once() -> None:
    one = task_with(int)
    assert schema_of(one) is schema_of(one)


@pytest.mark.parametrize(
    "hint", [set[int], bytes, list[complex], "Missing", Callable[[], None], [int], dict[str, set[int]]]
)
def test_a_hint_that_cannot_be_validated_is_told_at_start(hint: Any) -> None:
    one = task_with(hint)
    with pytest.raises(WrongTask, match="task one"):
        arguments.check(one)


def test_the_error_names_the_parameter() -> None:
    with pytest.raises(WrongTask, match=r"task one, parameter x: there is no validation for the type hint set\[int\]"):
        arguments.check(task_with(set[int]))


def test_a_schema_that_does_not_fit_its_function_is_told_at_start() -> None:
    def run(low: int) -> None: ...

    with pytest.raises(WrongTask, match="has a field 'high'"):
        arguments.check(task(run, schema=Order))
    with pytest.raises(WrongTask, match="must be a marshmallow schema"):
        arguments.check(task(run, schema="Order"))


def test_revive_turns_json_into_what_the_hints_promise() -> None:
    def run(day: date, color: Color, n: int, items: list[UUID], when: datetime | None = None, *more: Any) -> None: ...

    day, color, moment = date(2030, 1, 31), Color.BLUE, datetime(2030, 1, 31, tzinfo=UTC)
    args, kwargs = revive(task(run), ["2030-01-31", 2, 1], {"items": [ID], "when": "2030-01-31T00:00:00Z"})
    assert (args, kwargs) == ([day, color, 1], {"items": [UUID(ID)], "when": moment})
    odd = [day, color, "x", [], None, "more"]
    assert revive(task(run), odd, {"new": 1}) == (odd, {"new": 1})
