"""Forms of arguments: a value given by form arrives as by JSON, whatever its kind."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from jinja2 import Environment, FileSystemLoader
from marshmallow import Schema, fields, validate
from werkzeug.datastructures import MultiDict

from task_app import dashboard
from task_app.dashboard.forms.arguments import ArgumentsForm
from task_app.dashboard.forms.controls import Exact, as_text
from task_app.dashboard.forms.field import LARGE, FormField
from task_app.jobs.view import JobView
from task_app.mirror.arguments import ArgumentErrors, bind, revive

from ..html_form import HtmlForm
from .test_arguments import ACCEPTED, ID, Color, task, task_with

PAGES = Environment(
    loader=FileSystemLoader(Path(dashboard.__file__).parent / "templates"), autoescape=True, trim_blocks=False
)
SHOW = PAGES.from_string(
    '{% import "dashboard/_fields.html" as fields %}'
    "{% for field in form.all_fields %}{{ fields.show(field) }}{% endfor %}"
)


def job(*args: Any, **kwargs: Any) -> JobView:
    """Return a job with these arguments."""
    return JobView(
        id="1",
        task="one",
        args_json=json.dumps(args),
        kwargs_json=json.dumps(kwargs),
        queue="celery",
        priority=5,
        state="SUCCESS",
        attempt=1,
        retries=0,
        version=1,
        created_at=datetime.now(UTC),
    )


def rendered(form: ArgumentsForm) -> str:
    return SHOW.render(form=form)


def sent(form: ArgumentsForm) -> MultiDict[str, str]:
    """Return what a browser sends when nothing is changed."""
    return HtmlForm(rendered(form)).values


def fill_in(one: Any, /, **typed: str) -> ArgumentsForm:
    """Return the form after somebody has typed this over what stood there; "x:unset" is written x__unset."""
    form = ArgumentsForm(one)
    values = sent(form)
    for name, text in typed.items():
        argument, _, suffix = name.partition("__")
        values.setlist(f"arg-{argument}:{suffix}" if suffix else f"arg-{argument}", [text])
        if not suffix and text:
            values.poplist(f"arg-{argument}:unset")
    again = ArgumentsForm(one)
    again.take(values)
    return again


def called(one: Any, /, **typed: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the call that a form makes, after the task's own schema has taken it."""
    form = fill_in(one, **typed)
    args, kwargs = form.call()
    assert [(field.name, field.errors) for field in form.wrong_fields] == []
    return bind(one, args, kwargs)


def value(hint: Any, text: str, **beside: str) -> Any:
    return called(task_with(hint), x=text, **{f"x__{name}": text for name, text in beside.items()})[1]["x"]


def refusal(one: Any, /, **typed: str) -> dict[str, list[str]]:
    """Return the messages beside the fields, of the form and then of the schema."""
    form = fill_in(one, **typed)
    args, kwargs = form.call()
    try:
        bind(one, args, kwargs)
    except ArgumentErrors as error:
        form.refuse({"kwargs": error.errors})
    return {field.name: field.errors for field in form.wrong_fields}


# -- every kind of value goes through the page unchanged ----------------------------------------------------------


def exactly(item: Any) -> str:
    """Tell 1, 1.0, true and "1" apart."""
    return json.dumps(item)


@pytest.mark.parametrize("by_position", [False, True])
@pytest.mark.parametrize(("hint", "item"), ACCEPTED)
def test_the_value_of_a_job_goes_through_its_form(hint: Any, item: Any, by_position: bool) -> None:
    one = task_with(hint)
    like = job(item) if by_position else job(x=item)
    form = ArgumentsForm(one, like)
    form.take(sent(form))
    args, kwargs = form.call()
    assert form.wrong_fields == []
    assert (len(args), len(kwargs)) == (len(like.args), len(like.kwargs))
    as_by_json, as_by_form = (revive(one, *call) for call in ((like.args, like.kwargs), (args, kwargs)))
    assert repr(as_by_form) == repr(as_by_json)


STRANGE: list[tuple[Any, Any]] = [
    (str, "\nfirst line is empty\n\n"),
    (str, "a\r\nb"),
    (str, "\u202e\u200b<b>&amp;"),
    (str, " "),
    (Annotated[str, validate.Length(max=20)], "two\nlines"),
    (Annotated[str, validate.Length(max=20)], ' "quoted" '),
    (int, "not a number"),
    (int, 10**400),
    (int, 2**63),
    (float, 1e22),
    (float, -0.1),
    (bool, "yes"),
    (bool | None, None),
    (list[str], ["", "a"]),
    (list[str], ["[1]"]),
    (list[str], ["[draft", "b"]),
    (list[str], ["two\nlines"]),
    (list[str], []),
    (list[int] | None, None),
    (list[int] | None, []),
    (list[int], ["x"]),
    (list[Literal["a", "b"]], ["b", "a"]),
    (list[Literal[1, "1"]], ["1", 1]),
    (list[date], ["2030-01-31"]),
    (list[datetime], ["2030-01-31T12:00:00Z"]),
    (list[Decimal], ["1.10"]),
    (list[UUID], [ID]),
    (Literal["1", 1, True, None], "1"),
    (Literal["1", 1, True, None], 1),
    (Literal["1", 1, True, None], True),
    (Literal["1", 1, True, None], None),
    (Literal["", " "], " "),
    (int | str, "5"),
    (int | str, 5),
    (datetime, "2030-01-31T12:00:00"),
    (datetime, "2030-01-31T12:00:00.123456+05:30"),
    (datetime, "2030-01-31T12:00:00.250-11:00"),
    (datetime, "1890-01-01T00:00:00+00:19:32"),
    (datetime | None, None),
    (date | None, None),
    (date, "today"),
    (date, "2030-1-31"),
    (datetime, "tomorrow"),
    (Decimal, "1E+3"),
    (str | None, None),
    (str | None, ""),
    (dict[str, int], {"a\u2028": 1, "</textarea><script>": 2}),
    (Any, "text"),
    (Any, {"__type__": "datetime", "__value__": "2030-01-31T12:00:00"}),
]


@pytest.mark.parametrize(("hint", "item"), STRANGE)
def test_strange_values_go_through_a_form_as_well(hint: Any, item: Any) -> None:
    one = task_with(hint)
    form = ArgumentsForm(one, job(x=item))
    form.take(sent(form))
    _, kwargs = form.call()
    assert form.wrong_fields == []
    assert (
        exactly(revive(one, [], kwargs)[1]) == exactly(revive(one, [], {"x": item})[1])
        if is_json(revive(one, [], kwargs)[1])
        else repr(revive(one, [], kwargs)) == repr(revive(one, [], {"x": item}))
    )


def is_json(item: Any) -> bool:
    try:
        json.dumps(item)
    except TypeError:
        return False
    return True


def test_what_a_control_would_change_is_edited_as_json() -> None:
    field = FormField.of("x", fields.String(required=True), {})
    field.control = Exact()  # takes white space away
    field.fill(" 1 ")
    assert (field.is_json, field.typed[""], field.value()) == (True, '" 1 "', " 1 ")


# -- what people type ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "text", "expected"),
    [
        (int, "5", 5),
        (int, " +5 ", 5),
        (int, "-0", 0),
        (int, "12345678901234567890", 12345678901234567890),
        (float, "5", 5),
        (float, "1.5", 1.5),
        (float, ".5", 0.5),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (bool, "false", False),
        (str, "a\r\nb", "a\nb"),
        (str, "  ", "  "),
        (str, "null", "null"),
        (Annotated[str, validate.Length(max=9)], "ab", "ab"),
        (list[str], "a\r\n\r\nb ", ["a", "b "]),
        (list[str], '["a", ""]', ["a", ""]),
        (list[str], "[draft]\r\nb", ["[draft]", "b"]),
        (list[int], "1\r\n 2\r\n", [1, 2]),
        (list[int], "[1, 2]", [1, 2]),
        (list[float], "1\r\n1.5", [1, 1.5]),
        (list[int | None], "[1, null]", [1, None]),
        (dict, '{"a": [1]}', {"a": [1]}),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Any, '"text"', "text"),
        (Any, "null", None),
        (int | str, '"5"', "5"),
        (int | str, "5", 5),
        (Literal["a", 1], '"a"', "a"),
        (Literal["a", 1], "1", 1),
        (Color, '"red"', "red"),
        (Color, "2", 2),
        (date, "2030-01-31", "2030-01-31"),
        (Decimal, " 1.10 ", "1.10"),
        (UUID, ID, ID),
        (int | None, "", None),
        (int | None, "5", 5),
        (bool | None, "", None),
        (bool | None, "true", True),
        (date | None, "", None),
        (Literal["a"] | None, "", None),
        (Color | None, "", None),
        (Color | None, '"red"', "red"),
    ],
)
def test_what_is_typed_becomes_what_the_task_wants(hint: Any, text: str, expected: Any) -> None:
    assert exactly(value(hint, text)) == exactly(expected)


@pytest.mark.parametrize(
    ("local", "zone", "expected"),
    [
        ("2030-01-31T12:00", "UTC", "2030-01-31T12:00:00Z"),
        ("2030-01-31T12:00:30.5", "UTC", "2030-01-31T12:00:30.5Z"),
        ("2030-01-31T12:00", "Europe/Vienna", "2030-01-31T12:00:00+01:00"),
        ("2030-07-31T12:00", "Europe/Vienna", "2030-07-31T12:00:00+02:00"),
        ("2030-07-31T12:00", "+05:30", "2030-07-31T12:00:00+05:30"),
        ("2030-07-31T12:00", "none", "2030-07-31T12:00:00"),
        ("0001-01-01T00:00", "America/New_York", "0001-01-01T00:00:00-04:56:02"),
    ],
)
def test_a_moment_has_the_zone_that_was_chosen(local: str, zone: str, expected: str) -> None:
    assert value(datetime, local, zone=zone) == expected


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "/etc/passwd", "Europe", "+99:99", "a\0b"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    assert refusal(task_with(datetime), x="2030-01-31T12:00", x__zone=zone).keys() in ({"x"}, set())
    form = fill_in(task_with(datetime), x="2030-01-31T12:00", x__zone=zone)
    assert form.call()[1]["x"] == "2030-01-31T12:00:00"


@pytest.mark.parametrize(
    ("hint", "text", "message"),
    [
        (int, "x", "Not a valid integer."),
        (int, "1.5", "Not a valid integer."),
        (int, "1_000", "Not a valid integer."),
        (int, "9" * 5000, "Not a valid integer."),
        (int, "", "This is needed."),
        (Annotated[int, validate.Range(1, 5)], "6", "Must be greater than or equal to 1 and less than or equal to 5."),
        (float, "nan", "Not a valid number."),
        (float, "1e999", "Not a valid number."),
        (bool, "", "This is needed."),
        (bool, "maybe", "Not one of the choices."),
        (str, "", "This is needed."),
        (str, "a\0b", "Must not contain NUL characters or lone surrogates."),
        (list[int], "1\r\n\r\nx", "Line 3: Not a valid integer."),
        (list[int], '[1, "x"]', "1: Not a valid integer."),
        (list[int], "", "This is needed."),
        (list[int], "[1,", "Line 1, column 4: Expecting value."),
        (dict, '{"a": 1,\r\n "b"}', "Line 2, column 5: Expecting ':' delimiter."),
        (dict, "[1]", "Not a valid mapping type."),
        (dict, "[" * 100_000, "Must not be nested deeper than 100 levels."),
        (Any, "[" * 150 + "]" * 150, "Must not be nested deeper than 100 levels."),
        (Any, "hello", "Line 1, column 1: Expecting value. Text needs double quotes."),
        (Any, '["NaN",\r\n NaN]', "Line 2, column 2: NaN is not JSON."),
        (Any, "1e999", "a number is too large."),
        (Any, '{"a": ["\\u0000"]}', "a.0: Must not contain NUL characters or lone surrogates."),
        (Any, "", "This is needed."),
        (Literal["a", 1], "a", "Not one of the choices."),
        (Literal["a", 1], "true", "Not one of the choices."),
        (Color, "", "This is needed."),
        (datetime, "tomorrow", "Not a valid datetime."),
        (date, "2030-02-31", "Not a valid date."),
        (Decimal, "x", "Not a valid number."),
        (UUID, "x", "Not a valid UUID."),
        (int | str, "hello", "Line 1, column 1: Expecting value. Text needs double quotes."),
        (int | None, "x", "Not a valid integer."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(hint: Any, text: str, message: str) -> None:
    assert refusal(task_with(hint), x=text) == {"x": [message]}
    form = fill_in(task_with(hint), x=text)
    form.call()
    form.refuse({"kwargs": {"x": ["from the schema"]}})
    page = HtmlForm(rendered(form))
    is_select = "arg-x" in page.options
    assert page.values["arg-x"] == ("" if is_select else text)  # as it was typed
    assert page.attributes["arg-x"]["aria-invalid"] == "true"
    assert "arg-x-error" in (page.attributes["arg-x"]["aria-describedby"] or "").split()
    assert page.texts["arg-x-error"]


# -- nothing, null and empty --------------------------------------------------------------------------------------


def test_null_and_empty_text_are_told_apart() -> None:
    one = task_with(str | None)
    assert called(one, x="")[1] == {"x": ""}
    assert called(one, x="", x__unset="on")[1] == {"x": None}
    assert called(one, x="a")[1] == {"x": "a"}
    assert "Clear the text" in refusal(one, x="a", x__unset="on")["x"][0]

    def run(x: str | None = None) -> None: ...

    page = HtmlForm(rendered(ArgumentsForm(task(run))))
    assert page.values["arg-x:unset"] == "on"  # null is the default
    assert called(task(run)) == ([], {})
    assert called(task(run), x="a")[1] == {"x": "a"}


def test_emptiness_of_what_is_needed_must_be_meant() -> None:
    for hint, empty in ((str, ""), (list[int], [])):
        one = task_with(hint)
        assert refusal(one, x="") == {"x": ["This is needed."]}
        form = fill_in(one, x="")
        form.call()
        assert "arg-x:blank" in HtmlForm(rendered(form)).unticked
        assert called(one, x="", x__blank="on")[1] == {"x": empty}


def test_an_unknown_default_is_left_to_the_task() -> None:
    def run(text: str = object(), number: int = object(), flag: bool = object()) -> None: ...  # type: ignore[assignment]

    hidden = task(run)
    page = HtmlForm(rendered(ArgumentsForm(hidden)))
    assert (page.values["arg-text:unset"], page.values["arg-number"], page.values["arg-flag"]) == ("on", "", "")
    assert called(hidden) == ([], {})
    assert called(hidden, text="a", number="1", flag="true")[1] == {"text": "a", "number": 1, "flag": True}
    empty = ArgumentsForm(hidden)
    empty.take(MultiDict({"arg-text": ""}))  # without the tick
    assert empty.call() == ([], {"text": ""})


def test_defaults_are_shown_and_not_sent_unless_changed() -> None:
    def run(
        a: float = 0,
        b: str = "text",
        c: bool = True,
        d: Color = Color.RED,
        e: list[int] = [1, 2],  # noqa: B006
        f: dict[str, int] = {},  # noqa: B006
        g: date = date(2030, 1, 31),
        h: datetime = datetime(2030, 1, 31, tzinfo=UTC),
        i: Any = None,
        j: int | None = 5,
    ) -> None: ...

    one = task(run)
    page = HtmlForm(rendered(ArgumentsForm(one)))
    shown = {name: page.values.getlist(f"arg-{name}")[-1] for name in "abcdefghij"}
    assert shown == {
        "a": "0",
        "b": "text",
        "c": "true",
        "d": '"red"',
        "e": "1\r\n2",
        "f": "{}",
        "g": "2030-01-31",
        "h": "2030-01-31T00:00:00",
        "i": "null",
        "j": "5",
    }
    assert called(one) == ([], {})
    changed = {"a": "1", "b": "", "c": "false", "d": "2", "e": "", "f": '{"a": 1}', "g": "2030-02-01", "j": ""}
    assert called(one, **changed)[1] == {
        "a": 1,
        "b": "",
        "c": False,
        "d": 2,
        "e": [],
        "f": {"a": 1},
        "g": "2030-02-01",
        "j": None,
    }
    assert called(one, a="") == ([], {})  # a number left empty: the default


def test_a_job_keeps_what_it_was_given_though_it_is_the_default() -> None:
    def run(a: int = 5, b: int = 6) -> None: ...

    form = ArgumentsForm(task(run), job(b=6))
    form.take(sent(form))
    assert form.call() == ([], {"b": 6})


def test_authors_schemas_have_their_own_kinds() -> None:
    class Inner(Schema):
        name = fields.String(required=True)
        size = fields.Integer()

    class Author(Schema):
        wait = fields.TimeDelta(precision="minutes", validate=validate.Range(timedelta(0), timedelta(hours=1)))
        at = fields.Time()
        naive = fields.NaiveDateTime()
        aware = fields.AwareDateTime()
        stamp = fields.DateTime(format="timestamp")
        german = fields.Date(format="%d.%m.%Y")
        mail = fields.Email()
        site = fields.Url()
        host = fields.IPv4()
        one = fields.String(validate=validate.OneOf(["a", "b"]))
        letters = fields.String(validate=validate.ContainsOnly("ab"))
        inner = fields.Nested(Inner)
        pair = fields.Tuple((fields.Integer(), fields.String()))
        half = fields.Float(validate=validate.Range(min=0, min_inclusive=False, max=0.5))
        by_name = fields.Enum(Color)
        count = fields.Integer(load_default=3)
        shown_only = fields.String(dump_only=True)

    def run(**anything: Any) -> None: ...

    one = task(run, schema=Author)
    typed = {
        "wait": "5",
        "at": "12:30",
        "naive": "2030-01-31T12:00",
        "aware": "2030-01-31T12:00",
        "aware__zone": "Europe/Vienna",
        "stamp": "1900000000.5",
        "german": "31.01.2030",
        "mail": "a@example.com",
        "site": "https://example.com/",
        "host": "127.0.0.1",
        "one": '"b"',
        "letters": "abba",
        "inner": '{"name": "x"}',
        "pair": '[1, "a"]',
        "half": "0.25",
        "by_name": '"RED"',
    }
    assert called(one, **typed)[1] == {
        "wait": 5,
        "at": "12:30",
        "naive": "2030-01-31T12:00:00",
        "aware": "2030-01-31T12:00:00+01:00",
        "stamp": 1900000000.5,
        "german": "31.01.2030",
        "mail": "a@example.com",
        "site": "https://example.com/",
        "host": "127.0.0.1",
        "one": "b",
        "letters": "abba",
        "inner": {"name": "x"},
        "pair": [1, "a"],
        "half": 0.25,
        "by_name": "RED",
        "count": 3,  # the function may have another default
    }
    form = ArgumentsForm(one)
    words = {name: field.words for name, field in form.fields.items()}
    assert words["wait"] == ["duration in minutes", "0:00:00 to 1:00:00"]
    assert words["half"] == ["number", "more than 0, at most 0.5"]
    assert words["inner"] == ["object with name, size (optional)", "JSON"]
    assert words["count"] == ["whole number", "default 3"]
    assert "shown_only" not in form.fields
    assert refusal(one, inner='{"size": 1}')["inner"] == ["name: Missing data for required field."]


# -- words and attributes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Annotated[int, validate.Range(1, 100)], ["whole number", "1 to 100"]),
        (Annotated[int, validate.Range(min=0)], ["whole number", "at least 0"]),
        (Annotated[float, validate.Range(max=1, max_inclusive=False)], ["number", "less than 1"]),
        (Annotated[str, validate.Length(2, 10)], ["text", "2 to 10 characters"]),
        (Annotated[str, validate.Length(equal=3)], ["text", "exactly 3 characters"]),
        (Annotated[str, validate.Regexp("a+")], ["text", "matches a+"]),
        (Annotated[list[int], validate.Length(max=3)], ["list of whole numbers", "one per line", "at most 3 items"]),
        (list[Annotated[str, validate.Length(max=2)]], ["list of text", "one per line", "each: at most 2 characters"]),
        (list[Literal["a", "b"]], ["list of choice", "one per line", "of a, b"]),
        (int | None, ["whole number, or null"]),
        (dict[str, int], ["object of whole numbers", "JSON"]),
        (int | str, ["whole number or text", "JSON"]),
        (Any, ["any JSON, or null"]),
        (Decimal, ["decimal number"]),
        (datetime, ["date and time"]),
    ],
)
def test_a_field_says_what_it_wants(hint: Any, words: list[str]) -> None:
    assert ArgumentsForm(task_with(hint)).fields["x"].words == words


def test_inputs_have_labels_limits_and_help() -> None:
    def run(n: Annotated[int, validate.Range(1, 5), "How many."], f: float = 0.5, s: str | None = None) -> None: ...

    page = HtmlForm(rendered(ArgumentsForm(task(run))))
    n = page.attributes["arg-n"]
    assert (n["type"], n["min"], n["max"], n["step"]) == ("number", "1", "5", "1")
    assert "required" in n and n["aria-describedby"] == "arg-n-help"
    assert page.texts["arg-n-help"] == "How many."
    assert " ".join(page.labels["arg-n"].split()) == "n required whole number · 1 to 5"
    assert page.attributes["arg-f"]["step"] == "any" and "required" not in page.attributes["arg-f"]
    assert page.attributes["arg-s"]["id"] == "arg-s"
    assert {"arg-n", "arg-f", "arg-s"} <= page.labels.keys()


def test_long_text_has_several_lines() -> None:
    def run(short: Annotated[str, validate.Length(max=255)], long: str) -> None: ...

    html = rendered(ArgumentsForm(task(run)))
    assert '<input id="arg-short"' in html and '<textarea id="arg-long"' in html


MARKUP = "</textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def test_markup_in_values_stays_text() -> None:
    def run(a: str, b: Annotated[str, validate.Length(max=255)], c: list[str], d: Any, **more: Any) -> None: ...

    one = task(run, schema=None)
    form = ArgumentsForm(one, job(a=MARKUP, b=MARKUP, c=[MARKUP], d={MARKUP: MARKUP}, **{MARKUP: 1}))
    for errors in ([], [MARKUP]):
        for field in form.all_fields:
            field.errors = errors
        html = rendered(form)
        assert "<script" not in html and "<img" not in html
    page = HtmlForm(html)
    assert page.values["arg-a"] == MARKUP and page.values["arg-b"] == MARKUP
    assert json.loads(page.values["more-kwargs"]) == {MARKUP: 1}

    def choose(a: Literal[MARKUP] = MARKUP, b: str = MARKUP) -> None: ...  # type: ignore[valid-type]

    assert "<script" not in rendered(ArgumentsForm(task(choose)))


def test_characters_without_a_glyph_are_written_out() -> None:
    assert as_text({"a": "\u202e\u200bä😀\n\U000e0001"}) == '{"a": "\\u202e\\u200bä😀\\n\\udb40\\udc01"}'
    assert json.loads(as_text("\u202e\u200bä😀\n\U000e0001")) == "\u202e\u200bä😀\n\U000e0001"


# -- by position and by name --------------------------------------------------------------------------------------


def test_what_goes_only_by_position_does() -> None:
    def run(a: int, b: int = 2, /, c: int = 3) -> None: ...

    one = task(run)
    assert called(one, a="1") == ([1, 2], {})
    assert called(one, a="1", b="5", c="6") == ([1, 5], {"c": 6})


def test_more_arguments_have_fields_of_their_own() -> None:
    def run(a: int, b: int = 2, *more: Any, **named: Any) -> None: ...

    one = task(run)
    form = ArgumentsForm(one)
    values = sent(form)
    values["arg-a"] = "1"
    for more, named, call in (
        ("", "", ([], {"a": 1})),
        ("[3, null]", "", ([1, 2, 3, None], {})),
        ("", '{"z": 1}', ([], {"a": 1, "z": 1})),
        ("[3]", '{"z": 1}', ([1, 2, 3], {"z": 1})),
    ):
        values["more-args"], values["more-kwargs"] = more, named
        form.take(values)
        assert form.call() == call
        assert form.wrong_fields == []
    for more, named, where, message in (
        ("{}", "", "more-args", "This must be a JSON array."),
        ("", "[]", "more-kwargs", "This must be a JSON object."),
        ("", "null", "more-kwargs", "This must be a JSON object."),
        ("", '{"a": 1}', "more-kwargs", "a has a field of its own."),
        ("[1,", "", "more-args", "Line 1, column 4: Expecting value."),
    ):
        values["more-args"], values["more-kwargs"] = more, named
        form.take(values)
        form.call()
        assert {field.key: field.errors for field in form.wrong_fields} == {where: [message]}


def test_nothing_is_left_out_before_what_goes_by_position() -> None:
    def run(a: int, b: int = object(), *more: Any) -> None: ...  # type: ignore[assignment]

    form = ArgumentsForm(task(run))
    values = sent(form)
    values["arg-a"], values["more-args"] = "1", "[3]"
    form.take(values)
    form.call()
    assert {field.key for field in form.wrong_fields} == {"arg-b"}


def test_positional_arguments_of_a_job_stay_so() -> None:
    def run(a: int, b: int = 2, c: int = 3) -> None: ...

    form = ArgumentsForm(task(run), job(1, 5, c=4))
    values = sent(form)
    assert [values[f"arg-{name}"] for name in "abc"] == ["1", "5", "4"]
    values["arg-b"] = "6"
    form.take(values)
    assert form.call() == ([1, 6], {"c": 4})


def test_arguments_that_the_task_does_not_take_any_more_can_be_seen_and_taken_out() -> None:
    def run(a: int) -> None: ...

    form = ArgumentsForm(task(run), job(1, 2, old="x"))
    values = sent(form)
    assert json.loads(values["more-args"]) == [2] and json.loads(values["more-kwargs"]) == {"old": "x"}
    form.take(values)
    assert form.call() == ([1, 2], {"old": "x"})
    form.refuse({"args": {"1": ["Too many."]}, "kwargs": {"old": ["Unknown field."]}})
    assert {field.key: field.errors for field in form.wrong_fields} == {
        "more-args": ["1: Too many."],
        "more-kwargs": ["old: Unknown field."],
    }
    values["more-args"] = values["more-kwargs"] = ""
    form.take(values)
    assert form.call() == ([1], {})


# -- large values -------------------------------------------------------------------------------------------------


LARGE_VALUES: list[tuple[Any, Any]] = [
    (str, "x" * (LARGE + 1)),
    (Any, {"rows": list(range(LARGE))}),
    (list[str], ["x" * 100] * (LARGE // 50)),
]


@pytest.mark.parametrize(("hint", "item"), LARGE_VALUES, ids=["text", "JSON", "lines"])
def test_a_large_value_stays_as_it_is_and_out_of_the_page(hint: Any, item: Any) -> None:
    one = task_with(hint)
    form = ArgumentsForm(one, job(x=item), may_keep=True)
    html = rendered(form)
    assert len(html) < 10_000 and "Show all" in html
    again = ArgumentsForm(one, job(x=item), may_keep=True)
    again.take(HtmlForm(html).values)
    assert again.call() == ([], {"x": item})
    whole = ArgumentsForm(one, job(x=item))
    again.take(sent(whole))
    assert again.call() == ([], {"x": item})
    changed = sent(whole)
    changed["arg-x"] = '"y"' if hint is Any else "y"
    again.take(changed)
    assert again.call() == ([], {"x": ["y"] if hint == list[str] else "y"})


def test_a_message_about_all_arguments_stands_beside_the_largest() -> None:
    def run(a: str, b: str) -> None: ...

    form = ArgumentsForm(task(run), job(a="x", b="xxx"))
    assert form.refuse({"kwargs": ["Take more than 2 bytes as JSON."]}) == []
    assert {field.name for field in form.wrong_fields} == {"b"}
