"""Who is asking, and may they?

Every blueprint is guarded where it is declared: `guard(blueprint)`. Then GET needs a viewer and everything else an
operator; a view may ask for another role with `needs`. Views, templates: `visitor()`, `may(Role.ADMIN)`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from flask import Blueprint, Flask, Response, current_app, g, redirect, request, session, url_for
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from ..jobs.runtime import utcnow
from ..keys import service
from ..keys.memory import KeyMemory
from ..keys.roles import Role
from ..keys.view import KeyView
from .origin import is_from_elsewhere, is_local

View = TypeVar("View", bound=Callable[..., Any])

SAFE = ("GET", "HEAD", "OPTIONS")
#: What a session holds: the id of a key, and since when. Neither is a secret.
KEY, SINCE = "key", "since"

WHO = "Say who you are: send a key in the header Authorization, as Bearer …, or sign in at /sign-in."
WRONG = "This key opens nothing: it is wrong, or was revoked."
ELSEWHERE = (
    "This request comes from a page of another site, or passed a proxy that does not pass the Host header on; "
    "see docs/access.md."
)


@dataclass(frozen=True)
class Visitor:
    """Who is asking. `how` tells how we know: open, off (nobody has to say), key, session."""

    role: Role
    how: str
    key: KeyView | None = None
    until: datetime | None = None

    @property
    def name(self) -> str | None:
        """The name of the key; None where nobody has to say."""
        return None if self.key is None else self.key.name


def init_app(app: Flask) -> None:
    """Give the app its memory of keys, and templates the words of this module."""
    app.extensions["keys"] = KeyMemory()
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=app.config["SESSION_HOURS"])
    app.jinja_env.globals.update(visitor=visitor_if_any, may=may, Role=Role)


def known_keys() -> KeyMemory:
    """Return the current app's memory of keys."""
    found: KeyMemory = current_app.extensions["keys"]
    return found


# -- who -----------------------------------------------------------------------------------------------------------


def visitor() -> Visitor:
    """Return who is asking. Raises Unauthorized where nobody came in; behind a guard somebody always did."""
    found = visitor_if_any()
    if found is None:
        raise unauthorized(WHO)
    return found


def visitor_if_any() -> Visitor | None:
    """Return who is asking, or None for a stranger; found out once per request. Raises Unauthorized for a wrong key."""
    if "visitor" not in g:
        g.visitor = None  # remains if the look-up fails: the page that says so asks again
        g.visitor = _find_visitor()
    found: Visitor | None = g.visitor
    return found


def may(role: Role | str) -> bool:
    """Say whether the visitor has at least this role."""
    found = visitor_if_any()
    return found is not None and found.role >= Role(role)


def way_in() -> Response | None:
    """Return where a stranger who asked for a page can sign in, and from there back; None for programs and forms."""
    if request.method not in ("GET", "HEAD") or not prefers_html() or "Authorization" in request.headers:
        return None
    here = quote(request.script_root + request.path)
    if request.query_string:
        here += "?" + request.query_string.decode("latin-1")
    return redirect(url_for("dashboard.sign_in", next=here))  # type: ignore[return-value]


def prefers_html() -> bool:
    """Say whether a person with a browser is asking. What takes anything is a program."""
    accepted = request.accept_mimetypes
    return accepted.quality("text/html") > accepted.quality("application/json")


def unauthorized(detail: str) -> Unauthorized:
    """Return the 401 with what it must carry."""
    return Unauthorized(detail, www_authenticate=WWWAuthenticate("bearer", {"realm": "task_app"}))


def _find_visitor() -> Visitor | None:
    if current_app.config["AUTH"] == "off":
        return Visitor(Role.ADMIN, "off")
    if "Authorization" in request.headers:
        return _by_key(request.headers["Authorization"])
    if is_open():
        return Visitor(Role.ADMIN, "open")
    return _by_session()


def is_open() -> bool:
    """Say whether this request may do everything because the service is fresh, embedded and asked from its machine."""
    return can_be_open(current_app) and is_local(request) and not known_keys().any_live()


def can_be_open(app: Flask) -> bool:
    """Say whether the settings allow that."""
    config = app.config
    return bool(config["AUTH"] == "auto" and config["EMBEDDED_BROKER"] and config["EMBEDDED_DATABASE"])


def _by_key(header: str) -> Visitor:
    scheme, _, text = header.partition(" ")
    key = service.find(text.strip(), known_keys().get) if scheme.lower() == "bearer" else None
    if key is None:
        raise unauthorized(WRONG)
    known_keys().note_use(key)
    return Visitor(key.role, "key", key)


def _by_session() -> Visitor | None:
    until = _end_of_session()
    if until is None:
        return None
    key = known_keys().get(session[KEY])
    if key is None or not key.is_live:
        return None
    known_keys().note_use(key)
    return Visitor(key.role, "session", key, until)


def _end_of_session() -> datetime | None:
    """Return when the session ends; None without one, or after its end. The cookie is signed: its content is ours."""
    if KEY not in session or SINCE not in session:
        return None
    since = datetime.fromisoformat(session[SINCE])
    until: datetime = since + current_app.config["PERMANENT_SESSION_LIFETIME"]
    return until if utcnow() < until else None


def sign_in(key: KeyView) -> None:
    """Begin a session anew: nothing that was in the cookie before goes on."""
    session.clear()
    session.permanent = True
    session[KEY] = key.id
    session[SINCE] = utcnow().isoformat()


# -- what they may -------------------------------------------------------------------------------------------------


def guard(blueprint: Blueprint, *, open_to_all: Collection[str] = ()) -> None:
    """Let only those into a blueprint who may come in; the endpoints `open_to_all` ask nobody."""
    unasked = frozenset(f"{blueprint.name}.{endpoint}" for endpoint in open_to_all)

    def refuse() -> None:
        acts = request.method not in SAFE or _asked(ACTS)
        if request.endpoint not in unasked:
            _refuse_unless(_asked(NEEDS) or (Role.OPERATOR if acts else Role.VIEWER))
        if acts and is_from_elsewhere(request) and not _came_by_key():
            raise Forbidden(ELSEWHERE)

    def watch(response: Response) -> Response:
        if response.mimetype == "text/event-stream" and request.endpoint not in unasked:
            response.response = _while_welcome(response.response)
        return response

    blueprint.before_request(refuse)
    blueprint.after_request(watch)


NEEDS, ACTS = "access_needs", "access_acts"


def needs(role: Role) -> Callable[[View], View]:
    """Ask for this role, whatever the method; goes nearest to the function."""
    return _marked(NEEDS, role)


def acts(view: View) -> View:
    """Say that a view changes something although it is a GET: it needs what a POST needs."""
    return _marked(ACTS, True)(view)


def _marked(name: str, value: object) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, name, value)
        return view

    return mark


def _asked(name: str) -> Any:
    """Return what the view asks for. OPTIONS is Flask's to answer, and means any of the views of a path."""
    view = current_app.view_functions[request.endpoint or ""]
    return None if request.method == "OPTIONS" else getattr(view, name, None)


def _refuse_unless(needed: Role) -> None:
    if visitor().role < needed:
        raise Forbidden(f"This needs the role {needed}; this key's is {visitor().role}.")


def _came_by_key() -> bool:
    """Say whether a key in a header proves that no browser sent this by itself."""
    found = visitor_if_any()
    return found is not None and found.how == "key"


def _while_welcome(stream: Iterable[Any]) -> Iterator[Any]:
    """Pass a stream on as long as its reader may read it: it may last for hours, and its key be revoked meanwhile."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    reader = visitor()

    def passed_on() -> Iterator[Any]:
        try:
            for chunk in stream:
                with app.app_context():
                    if not _still_welcome(reader):
                        return
                yield chunk
        finally:
            if hasattr(stream, "close"):
                stream.close()

    return passed_on()


def _still_welcome(reader: Visitor) -> bool:
    if reader.how == "off":
        return True
    if reader.key is None:
        return not known_keys().any_live()
    key = known_keys().get(reader.key.id)
    return key is not None and key.is_live and (reader.until is None or utcnow() < reader.until)
