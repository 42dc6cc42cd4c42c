"""The page of one job: what became of it, why it waits, and what can be done."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from flask import render_template, request, url_for
from markupsafe import Markup

from ..jobs import service
from ..jobs.packing import Unreadable
from ..jobs.runtime import utcnow
from ..jobs.states import State, is_final, is_running
from ..jobs.timeline import timeline
from ..jobs.view import JobView
from ..jobs.wording import Ref, Sentence
from ..keys.roles import Role
from ..mirror.public import UnknownTask, find_task, rate_limit_of
from ..web.access import may
from . import drawing, words
from .blueprint import blueprint
from .commands import curl_for_job
from .links import here_with, jobs_url
from .live import begin
from .new import needs_key
from .relatives import earlier_runs, family

#: Why a job waits, or how its run is, as the heading of a box; `Cause` has the words for programs.
TITLES = {
    "due time": "It waits for its due time",
    "next try": "An attempt failed; the next one waits",
    "broker": "The broker can't be reached",
    "dispatch": "It is about to be published",
    "nobody dispatches": "Nobody is there to publish it",
    "an earlier step of its chain": "It waits for an earlier step of its chain",
    "the parts of its chord": "It waits for the parts of its chord",
    "replacement": "Other jobs take its place",
    "queue paused": "Its queue is paused",
    "nobody listens": "No worker listens to its queue",
    "doubtful workers": "The workers of its queue don't answer",
    "busy workers": "The workers of its queue are busy",
    "prefetched": "A worker has it and is busy",
    "rate limit": "Its task has a rate limit",
    "on its way": "It is on its way to a worker",
    "cancel requested": "It was told to end",
    "silent worker": "Its worker is silent",
    "worker gone": "Its worker is gone",
}
#: Nothing is wrong: the job goes on by itself, soon or as asked.
CALM = {
    "due time",
    "dispatch",
    "on its way",
    "an earlier step of its chain",
    "the parts of its chord",
    "replacement",
    "busy workers",
    "prefetched",
    "cancel requested",
}


#: Characters of arguments or of a result that are shown at once: a page is live, and is fetched at each change.
LONG = 20_000


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job is not running, for the box at the top of its page."""

    title: str
    text: Markup
    safe: bool
    is_calm: bool


@dataclass(frozen=True, slots=True)
class Action:
    """What can be done to a job in its state, by this visitor."""

    label: str
    url: str
    method: str = "post"
    tone: str = ""
    confirm: str | None = None


@blueprint.route("/jobs/<job_id>")
def job(job_id: str) -> str:
    """Show a job. Raises JobNotFound."""
    begin("job", job_id=job_id)
    found, now = service.get(job_id), utcnow()
    relatives = service.family(job_id)
    boxes = timeline(found, now, freed_at=relatives.freed_at(job_id))
    return render_template(
        "dashboard/job.html",
        job=found,
        actions=_actions(found),
        reason=_reason(found),
        progress=_progress(found, now),
        result=_shown(found.result_json),
        args=_shown(found.args_json),
        kwargs=_shown(found.kwargs_json),
        all_url=here_with(all="1"),
        timeline=drawing.lanes(boxes, now=now, name="timeline-lanes"),
        attempts=[_attempt(entry, now) for entry in reversed(found.history)],
        family=family(relatives),
        earlier=earlier_runs(found, now),
        curl=_curl_of(found) if _is_known(found.task) else None,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as people read it; of a long one, unless the address asks for all, the beginning as it is stored."""

    text: str
    left_out: int = 0  # characters


def _shown(stored: str | None) -> Shown:
    stored = stored or "null"
    if isinstance(stored, Unreadable):
        return Shown(stored.problem)
    if len(stored) > LONG and "all" not in request.args:
        return Shown(f"{stored[:LONG]} …", len(stored) - LONG)
    return Shown(words.pretty(json.loads(stored)))


def _actions(found: JobView) -> list[Action]:
    if not may(Role.OPERATOR):
        return []

    def to(page: str) -> str:
        return url_for(f"dashboard.{page}", job_id=found.id)

    if not is_final(found.state):
        if found.cancel_requested_at is not None:
            return []
        return [Action("Cancel", to("cancel"), tone="danger", confirm="Cancel this job?")]
    if found.state == State.SUCCESS:
        actions = [Action("Run again", to("retry"))]
    else:
        actions = [Action("Retry", to("retry"), tone="primary")]
    if _is_known(found.task):
        actions.append(Action("Edit and retry", to("edit"), method="get"))
        like_this = f"{url_for('dashboard.new_task', task=found.task)}?from={quote(found.id)}"
        actions.append(Action("Run as a new job", like_this, method="get"))
    if found.state == State.FAILURE:
        is_open = found.resolved_at is None
        actions.append(Action("Resolve", to("resolve")) if is_open else Action("Not resolved", to("unresolve")))
    if may(Role.ADMIN):
        actions.append(Action("Delete", to("delete"), tone="danger", confirm="Delete this job for good?"))
    return actions


def _curl_of(found: JobView) -> str:
    return curl_for_job(found, request.url_root.rstrip("/"), needs_key=needs_key())


def _is_known(task: str) -> bool:
    try:
        find_task(task)
    except UnknownTask:
        return False
    return True


def _reason(found: JobView) -> Reason | None:
    said = service.explain(found, rate_limit=rate_limit_of(found.task))
    if said is None or said.cause == "runs":
        return None
    text = Markup(" ").join(map(_sentence, said.sentences))
    is_calm = said.cause in CALM
    says_so = "kept safe" in said.text
    return Reason(TITLES.get(said.cause, str(said.cause)), text, not is_calm and not says_so, is_calm)


def _sentence(pieces: Sentence) -> Markup:
    return Markup("").join(map(_piece, pieces)) + "."


def _piece(piece: str | datetime | Ref) -> Markup:
    if isinstance(piece, datetime):
        return Markup("{} ({})").format(words.moment(piece, absolute=True), words.moment(piece))
    if isinstance(piece, Ref):
        is_job = piece.kind == "job"
        url = url_for("dashboard.job", job_id=piece.name) if is_job else jobs_url(**{piece.kind: piece.name})
        return Markup('<a href="{}">{}</a>').format(url, piece.name)
    return Markup.escape(piece)


def _progress(found: JobView, now: datetime) -> Markup | None:
    """Return the bar of a job that runs, that reported how far it was, or that waits for parts of which some ended."""
    runs = is_running(found.state)
    if not runs and (found.meta is None or (found.state == State.PENDING and found.blocked_by is None)):
        return None
    return drawing.progress(
        state=found.state,
        percent=found.progress["percent"],
        current=found.progress["current"],
        total=found.progress["total"],
        message=_text(found.progress["message"]),
        elapsed=(now - found.started_at).total_seconds() if runs and found.started_at else None,
        label=f"Progress of {found.task}",
        name="progress-bar",
    )


def _text(message: Any) -> str | None:
    return None if message is None else str(message)


def _attempt(entry: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return an attempt with how long it took, in seconds."""
    started, finished = _moment(entry["started_at"]), _moment(entry["finished_at"])
    seconds = None if started is None else ((finished or now) - started).total_seconds()
    return {**entry, "seconds": seconds}


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
