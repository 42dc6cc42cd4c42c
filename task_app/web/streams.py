"""Server-sent events: one way to answer with them, at every door."""

import json
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from .watchers import watchers

#: Milliseconds until a client that lost its stream asks for another.
RECONNECT_AFTER = 2000
#: Seconds of silence until a comment is sent: it keeps proxies from closing the connection, and shows that a client is
#: gone.
HEARTBEAT = 5.0
#: Seconds until a stream ends that has no end of its own. Who comes back is asked again who they are.
LONGEST = 600.0
#: Seconds until a client that found no place may try again.
RETRY_AFTER = 2


def event(name: str, data: Any, event_id: object = None) -> str:
    """Return an event; its id is what the client sends as Last-Event-ID when it comes back."""
    lines = [] if event_id is None else [f"id: {event_id}"]
    return "\n".join([*lines, f"event: {name}", f"data: {json.dumps(data)}", "", ""])


def last_event_id() -> str | None:
    """Return what the client has seen already."""
    return request.headers.get("Last-Event-ID") or None


def for_a_while(events: Generator[str | None]) -> Iterator[str | None]:
    """Let events that have no end of their own end with `bye` after a while; the client comes back for the rest."""
    until = time.monotonic() + LONGEST
    with closing(events):
        for each in events:
            yield each
            if time.monotonic() >= until:
                break
    yield event("bye", {})


def stream(events: Iterable[str | None]) -> Response:
    """Answer with events, as `event` makes them; None among them is a heartbeat.

    They are read outside the app context, because a stream may live for hours. It takes a place of `watchers` and gives
    it back at the end. Raises ServiceUnavailable when there is none.
    """
    places = watchers()
    if not places.take():
        raise ServiceUnavailable("Too many clients are watching; see WATCH_LIMIT. Try again.", retry_after=RETRY_AFTER)
    response = Response(_lines(events), mimetype="text/event-stream")
    response.call_on_close(places.leave)
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Accel-Buffering"] = "no"  # nginx would keep the events until it has enough of them
    return response


def _lines(events: Iterable[str | None]) -> Iterator[str]:
    yield f"retry: {RECONNECT_AFTER}\n\n"
    for each in events:
        yield ": heartbeat\n\n" if each is None else each
