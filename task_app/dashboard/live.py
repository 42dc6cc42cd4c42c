"""Live pages: a stream that says *that* what a page shows has changed. The page then fetches itself.

A page registers how to look at what it shows:

    @watches("jobs")
    def look_at_jobs(args: MultiDict[str, str]) -> Watching:
        wanted = …                                   # from the query, as the page reads it
        return ("jobs", wanted), lambda connection: lists.versions(connection, wanted, limit=50)

and its view begins with `live.begin("jobs")`; `base.html` and `static/js/live.js` do the rest.
"""

from collections.abc import Callable, Generator, Hashable
from urllib.parse import urlencode

from flask import Response, abort, g, request, url_for
from werkzeug.datastructures import MultiDict

from ..jobs.lookout import Look, Lookout, fingerprint
from ..jobs.runtime import runtime
from ..web import streams
from .blueprint import blueprint

#: What is watched: a key, equal for all who see the same, and the look.
Watching = tuple[Hashable, Look]
#: Makes it from the query of the page.
LookMaker = Callable[[MultiDict[str, str]], Watching]

_makers: dict[str, LookMaker] = {}


def watches(page: str) -> Callable[[LookMaker], LookMaker]:
    """Register how to look at what a page shows; its stream is `/live/<page>`, with the query of the page."""

    def register(maker: LookMaker) -> LookMaker:
        _makers[page] = maker
        return maker

    return register


@blueprint.route("/live/<page>")
def live(page: str) -> Response:
    """Send `changed` whenever the page shows something else than what the client has seen.

    Where nothing changes, it sends `beat`. The id of an event is the fingerprint of what is shown. A client says what
    it has seen with Last-Event-ID, or with `seen` in the query; to one that says nothing, the first event comes at
    once.
    """
    maker = _makers.get(page)
    if maker is None:
        abort(404)
    key, look = maker(request.args)
    seen = streams.last_event_id() or request.args.get("seen")
    return streams.stream(streams.for_a_while(_changes(runtime().lookout, (page, key), look, seen)))


def begin(page: str, **more: str) -> None:
    """Make the page that is being answered live; call it before anything is read for it.

    It gives `base.html` the address of the stream, with the query of the page and `more`, and what the page shows at
    least: what changes from now on is told. It costs one look, and none where the page fetches itself.
    """
    query = MultiDict(request.args)
    query.update(more)
    g.live_url = f"{url_for('dashboard.live', page=page)}?{urlencode(list(query.items(multi=True)))}"
    if "X-Live" not in request.headers:
        _, look = _makers[page](query)
        with runtime().engine.connect() as connection:
            g.live_seen = fingerprint(look(connection))


def _changes(lookout: Lookout, key: Hashable, look: Look, seen: str | None) -> Generator[str]:
    with lookout.watch(key, look) as watch:
        while True:
            sight = watch.change(seen, streams.HEARTBEAT)
            if sight is None:
                yield streams.event("beat", {})  # scripts don't see comments, and silence is how they notice the end
            else:
                seen = sight.fingerprint
                yield streams.event("changed", {}, seen)
