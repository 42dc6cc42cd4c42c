"""Which jobs an address asks for, the same for a page and for its stream."""

from collections.abc import Mapping
from dataclasses import dataclass

from marshmallow import ValidationError

from ..jobs.lists import Filter, Place
from ..web.lists import ListQuerySchema

LENGTH = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter, the place after which the page begins, and what is wrong with the rest of the address."""

    wanted: Filter
    after: Place | None
    errors: tuple[str, ...] = ()


def read(args: Mapping[str, str], *more: str) -> Asked:
    """Read a filter from the query; what is wrong is said and left out of account. `more` names what is no filter."""
    given = {name: value for name, value in args.items() if value and name not in ("limit", *more)}
    schema = ListQuerySchema()
    try:
        wanted, _, after = schema.load(given)
    except ValidationError as error:
        wrong = error.messages_dict
        wanted, _, after = schema.load({name: value for name, value in given.items() if name not in wrong})
        return Asked(wanted, after, tuple(f"{name}: {' '.join(messages)}" for name, messages in sorted(wrong.items())))
    return Asked(wanted, after)
