"""The list of jobs: filtered, live, with actions on many."""

import re
from dataclasses import dataclass

from flask import Response, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from ..errors import JobNotFound
from ..jobs import service
from ..jobs.lists import COUNT_LIMIT, Filter
from ..jobs.runtime import utcnow
from ..jobs.states import FINAL, State
from ..jobs.view import timestamp
from ..mirror.storable import is_storable
from ..web import cursor
from ..web.ids import is_possible_id
from .blueprint import blueprint
from .links import here, here_with, jobs_url
from .live import begin
from .query import LENGTH, read

SUGGESTIONS = 20
_BEGINNING_OF_ID = re.compile(r"[0-9a-fA-F]{6,8}(-[0-9a-fA-F-]*)?")

#: What the filter box offers: the name in the address, what it means, and whether its values can be listed.
FIELDS = (
    ("task", "a task", True),
    ("queue", "a queue", True),
    ("status", "a state, or waiting, running, finished", True),
    ("worker", "the worker that runs or ran it", True),
    ("tag", "a tag", True),
    ("error", "the type of its error", True),
    ("argument", "one of its arguments, as kwargs.name=value", False),
    ("resolved", "failures that were dealt with: true or false", False),
    ("parent", "the job that sent it", False),
    ("group", "a group", False),
    ("created_after", "accepted after a moment (ISO 8601, with zone)", False),
    ("created_before", "accepted before a moment", False),
    ("finished_after", "ended after a moment", False),
    ("finished_before", "ended before a moment", False),
    ("id", "its id, or the beginning of it", False),
)
_ALSO_CALLED = {"state": "status", "exception": "error"}
_VALUES_LISTED = {name for name, _, is_listed in FIELDS if is_listed}


@dataclass(frozen=True, slots=True)
class Tab:
    """A state, how many jobs are in it, and where they are."""

    label: str
    url: str
    is_here: bool
    count: int | None


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on, and the list without it."""

    name: str
    label: str
    value: str
    without: str


@blueprint.route("/jobs")
def jobs() -> str | BaseResponse:
    """List jobs, newest first."""
    begin("jobs")
    if typed := request.args.get("filter"):
        return redirect(_with_typed(typed), 303)
    asked, now = read(request.args, "filter"), utcnow()
    wanted = asked.wanted
    found = service.page(wanted, limit=LENGTH, after=asked.after)
    is_filtered = wanted != Filter()
    return render_template(
        "dashboard/jobs.html",
        jobs=found.jobs,
        tabs=_tabs(wanted),
        chips=_chips(),
        fields=[{"name": name, "label": label, "values": listed} for name, label, listed in FIELDS],
        filter_errors=asked.errors,
        matching=service.count(wanted) if is_filtered else None,
        count_limit=COUNT_LIMIT,
        next_url=here_with(cursor=cursor.encode(found.next)) if found.next else None,
        first_url=here_with(cursor=None),
        is_later_page=asked.after is not None,
        here=here(),
        as_of=timestamp(now),
    )


def _with_typed(typed: str) -> str:
    """Return the address with a filter that was typed as name:value; a bare word is the name of a task."""
    name, separator, value = typed.partition(":")
    if "=" in name:  # kwargs.name=value
        name, value = "argument", typed
    elif not separator:
        name, value = "task", typed
    name, value = _ALSO_CALLED.get(name.strip(), name.strip()), value.strip()
    return here_with(**{"filter": None, "cursor": None, name: value or None})


def _tabs(wanted: Filter) -> list[Tab]:
    """Return the states with their counts; counts are of all jobs, so only an unfiltered list shows them."""
    is_narrowed = wanted != Filter(status=wanted.status)
    counts: dict[str, int] | None = None if is_narrowed else service.counts()

    def number(*states: str) -> int | None:
        return None if counts is None else min(COUNT_LIMIT, sum(counts.get(state, 0) for state in states))

    running = [state for state in counts or () if state not in (State.PENDING, State.RETRY, *FINAL)]
    words: list[tuple[str, str | None, tuple[str, ...]]] = [
        ("All", None, tuple(counts or ())),
        ("Waiting", "waiting", (State.PENDING, State.RETRY)),
        ("Running", "running", tuple(running)),
        ("Succeeded", State.SUCCESS, (State.SUCCESS,)),
        ("Failed", State.FAILURE, (State.FAILURE,)),
        ("Revoked", State.REVOKED, (State.REVOKED,)),
    ]
    return [
        Tab(label, here_with(status=status, cursor=None), wanted.status == status, number(*states))
        for label, status, states in words
    ]


def _chips() -> list[Chip]:
    known = [name for name, _, _ in FIELDS]
    given = [(name, value) for name in known if (value := request.args.get(name))]
    return [Chip(name, name, value, here_with(**{name: None, "cursor": None})) for name, value in given]


@blueprint.route("/names")
def names() -> Response:
    """Return values of a field that are there, for the filter box."""
    field, prefix = request.args.get("field", ""), request.args.get("prefix", "")
    can_be_there = field in _VALUES_LISTED and is_storable(prefix)
    found = service.names(field, prefix)[:SUGGESTIONS] if can_be_there else []
    return jsonify(names=found)


@blueprint.route("/search")
def search() -> BaseResponse:
    """Find a job by its id, or jobs by task, tag, queue or worker."""
    text = request.args.get("q", "").strip()
    if is_possible_id(text):
        try:
            return redirect(url_for("dashboard.job", job_id=service.get(text).id), 303)
        except JobNotFound:
            pass
    if not is_storable(text):
        return redirect(jobs_url(), 303)
    for field in ("task", "tag", "queue", "worker", "error"):
        if text and text in service.names(field, text):
            return redirect(jobs_url(**{field: text}), 303)
    near = service.names("task", text) if text else []
    if not near and _BEGINNING_OF_ID.fullmatch(text):
        return redirect(jobs_url(id=text.lower()), 303)
    return redirect(jobs_url(task=near[0] if near else text or None), 303)
