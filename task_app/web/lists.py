"""Which jobs an address asks for: the query of `GET /tasks`, and of the page that lists jobs."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from ..jobs.filters import Argument, Filter
from ..jobs.lists import Place
from ..mirror.storable import BAD_TEXT, is_storable
from .cursor import decode
from .ids import is_possible_id
from .submission import Moment


class QueryText(fields.String):
    """A name to look for."""

    def __init__(self, *rules: Any, **options: Any) -> None:
        super().__init__(validate=[validate.Length(1, 255), _storable, *rules], **options)


def _storable(text: str) -> None:
    if not is_storable(text):
        raise ValidationError(BAD_TEXT)


def _possible(text: str) -> None:
    if not is_possible_id(text):
        raise ValidationError("No job has such an id.")


class PossibleId(fields.String):
    """An id, or a part of one, that every database can compare."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=_possible, **options)


class Cursor(fields.Field[Place]):
    """Where the page before ended."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Place:
        try:
            return decode(value)
        except ValueError:
            raise ValidationError("Not a cursor of this list.") from None


def _is_argument(text: str) -> None:
    try:
        Argument.parse(text)
    except ValueError as error:
        raise ValidationError(f"{str(error).capitalize()}.") from None


class FilterSchema(Schema):
    """Which jobs are meant; loaded as a Filter."""

    status = QueryText(
        metadata={"description": "One of Celery's states or a task's own; or `running`, `waiting`, `finished`."}
    )
    task = QueryText()
    queue = QueryText()
    tag = QueryText()
    worker = QueryText()
    error = QueryText(metadata={"description": "Type of the error of the last attempt that failed."})
    resolved = fields.Boolean(metadata={"description": "Failures that somebody has dealt with, or not."})
    parent = PossibleId(metadata={"description": "Jobs that this job has sent, or that follow it in its chain."})
    group = PossibleId(metadata={"description": "Members of a group or chord."})
    id = PossibleId(metadata={"description": "An id or its beginning."})
    argument = QueryText(_is_argument, metadata={"description": "Such as `kwargs.user_id=42` or `args.0=42`."})
    created_after = Moment()
    created_before = Moment()
    finished_after = Moment(metadata={"description": "Jobs that ended then or later."})
    finished_before = Moment()

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> Any:
        """Return the filter."""
        return Filter(**data)


class ListQuerySchema(FilterSchema):
    """Which jobs to list."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
    cursor = Cursor(metadata={"description": "`next_cursor` of the page before."})

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> tuple[Filter, int, Place | None]:
        """Return the filter, the length of the page and where it starts."""
        limit, after = data.pop("limit"), data.pop("cursor", None)
        return Filter(**data), limit, after
