"""The same thing done to many jobs: to those that were selected, or step by step to all that match."""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import abort, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest

from ..jobs import actions as bulk
from ..jobs.actions import Action, Outcome, Step
from ..jobs.filters import ENDED
from ..jobs.lists import COUNT_LIMIT, Filter, Place
from ..jobs.states import FINAL
from ..keys.roles import Role
from ..web import cursor
from ..web.access import may
from ..web.ids import is_possible_id
from ..web.submission import Moment
from .blueprint import blueprint
from .links import own_path
from .query import read

VERBS = {
    Action.CANCEL: "Cancelled",
    Action.RETRY: "Retried",
    Action.RESOLVE: "Resolved",
    Action.UNRESOLVE: "Opened again",
    Action.DELETE: "Deleted",
}
#: Jobs that were not changed, of those of the last step, are listed up to so many.
LISTED = 100
FILTER = "filter."


@blueprint.route("/jobs/actions", methods=["POST"])
def actions() -> str:
    """Act on jobs, and show what came of each. Of all that match, one step; the page asks for the next."""
    action = _action()
    if action is Action.DELETE and not may(Role.ADMIN):
        abort(403, "Only an admin deletes jobs.")
    selected = list(filter(is_possible_id, request.form.getlist("job_id")))
    if "all" in request.form:
        total, step = _whole("all"), bulk.step(action, _wanted(), after=_after())
    elif selected:
        total, step = len(set(selected)), bulk.on_jobs(action, selected[: bulk.STEP])
    else:
        raise BadRequest("Select jobs first.")
    tallies = _tallies(step)
    done = sum(tallies.values())
    notable = [one for one in step.done if one.outcome is not Outcome.CHANGED] or step.done
    return render_template(
        "dashboard/actions.html",
        verb=VERBS[action],
        tallies=tallies,
        done=done,
        total=max(total, done),
        count_limit=COUNT_LIMIT,
        outcomes=notable[:LISTED],
        is_cut=len(notable) > LISTED or done > len(step.done),
        carried=_carried(tallies, step.next) if step.next else {},
        back=own_path(request.form.get("back")) or url_for("dashboard.jobs"),
    )


def _action() -> Action:
    try:
        return Action(request.form.get("action", ""))
    except ValueError:
        raise BadRequest("There is no such action.") from None


def _wanted() -> Filter:
    """Return the filter of the page, as of when it was shown: what was accepted, or ended, later is not of its N."""
    given = {name.removeprefix(FILTER): value for name, value in request.form.items() if name.startswith(FILTER)}
    asked = read(given)
    if asked.errors:
        raise BadRequest(" ".join(asked.errors))
    as_of = _as_of()
    before = asked.wanted.created_before
    wanted = replace(asked.wanted, created_before=as_of if before is None else min(before, as_of))
    if wanted.status in (*FINAL, ENDED) or wanted.resolved is not None:
        before = wanted.finished_before
        wanted = replace(wanted, finished_before=as_of if before is None else min(before, as_of))
    return wanted


def _as_of() -> datetime:
    try:
        return Moment().deserialize(request.form.get("as_of"))
    except ValidationError:
        raise BadRequest("The page does not say when it was shown.") from None


def _after() -> Place | None:
    text = request.form.get("cursor")
    try:
        return cursor.decode(text) if text else None
    except ValueError:
        raise BadRequest("The page does not say where to go on.") from None


def _tallies(step: Step) -> Counter[str]:
    """Return how many jobs had each outcome, those of earlier steps, which the page carries along, with them."""
    found = Counter({str(outcome): _whole(str(outcome)) for outcome in Outcome})
    found.update(str(one.outcome) for one in step.done)
    return found


def _whole(name: str) -> int:
    text = request.form.get(name, "0")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _carried(tallies: Counter[str], following: Place) -> dict[str, Any]:
    """Return the fields with which the next step begins."""
    same = {name: value for name, value in request.form.items() if name not in ("csrf_token", "cursor")}
    return {**same, **tallies, "cursor": cursor.encode(following)}
