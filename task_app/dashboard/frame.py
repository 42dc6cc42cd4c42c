"""What every page has around its content: the pages one can go to, who is here, words and assets."""

from dataclasses import dataclass
from typing import Any

from flask import request, url_for
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup

from ..jobs.runtime import utcnow
from ..keys.roles import Role
from ..version import __version__
from ..web.access import may, visitor_if_any
from . import words
from .assets import asset
from .blueprint import blueprint

_PAGES = (
    ("overview", "Overview", Role.VIEWER),
    ("jobs", "Jobs", Role.VIEWER),
    ("failures", "Failures", Role.VIEWER),
    ("queues", "Queues", Role.VIEWER),
    ("workers", "Workers", Role.VIEWER),
    ("keys", "Keys", Role.ADMIN),
    ("new", "New job", Role.OPERATOR),
)
#: Pages without an entry of their own stand under another's.
_UNDER = {"job": "jobs", "edit": "jobs", "new_task": "new", "create_key": "keys"}


@dataclass(frozen=True, slots=True)
class PageLink:
    """An entry of the navigation."""

    label: str
    url: str
    is_here: bool


@blueprint.context_processor
def frame() -> dict[str, Any]:
    """Return what templates can name."""
    here = (request.endpoint or "").rpartition(".")[2]
    here = _UNDER.get(here, here)
    return {
        "asset": asset,
        "csrf_field": csrf_field,
        "version": __version__,
        "script_root": request.script_root,
        "who": visitor_if_any(),
        "may_act": may(Role.OPERATOR),
        "may_delete": may(Role.ADMIN),
        "now": utcnow(),
        "pages": [
            PageLink(label, url_for(f"dashboard.{page}"), page == here) for page, label, role in _PAGES if may(role)
        ],
    }


def csrf_field() -> Markup:
    """Return the hidden field that every form that changes something has."""
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(generate_csrf())


for _word in (words.moment, words.duration, words.number, words.size, words.call, words.pretty, words.seconds_run):
    blueprint.add_app_template_filter(_word)
