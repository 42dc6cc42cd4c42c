"""Which jobs an address asks for: the query of `GET /tasks`, and of the page that lists jobs."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from ..jobs.lists import Filter, Place
from ..mirror.storable import BAD_TEXT, is_storable
from .cursor import decode
from .submission import Moment


class _QueryText(fields.String):
    """A name to look for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=[validate.Length(1, 255), _storable], **options)


def _storable(text: str) -> None:
    if not is_storable(text):
        raise ValidationError(BAD_TEXT)


class Cursor(fields.Field[Place]):
    """Where the page before ended."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Place:
        try:
            return decode(value)
        except ValueError:
            raise ValidationError("Not a cursor of this list.") from None


class ListQuerySchema(Schema):
    """Which jobs to list."""

    status = _QueryText(metadata={"description": "One of Celery's states or a task's own."})
    task = _QueryText()
    queue = _QueryText()
    tag = _QueryText()
    worker = _QueryText()
    created_after = Moment()
    created_before = Moment()
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))
    cursor = Cursor(metadata={"description": "`next_cursor` of the page before."})

    @post_load
    def make(self, data: dict[str, Any], **kwargs: Any) -> tuple[Filter, int, Place | None]:
        """Return the filter, the length of the page and where it starts."""
        limit, after = data.pop("limit"), data.pop("cursor", None)
        return Filter(**data), limit, after
