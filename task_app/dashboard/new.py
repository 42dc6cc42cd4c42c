"""New jobs: choose a task, fill in its form, submit it."""

from dataclasses import dataclass
from typing import Any

import celery
from flask import current_app, redirect, render_template, request, url_for
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from ..errors import JobExists, JobNotFound, ValueNotStorable
from ..jobs import service
from ..jobs.ids import new_id
from ..jobs.submission import Submission
from ..jobs.view import JobView
from ..keys.roles import Role
from ..mirror.arguments import json_schema_of
from ..mirror.public import UnknownTask, find_task, public_tasks, queue_of, summary_of
from ..web.access import needs, visitor
from .blueprint import blueprint
from .commands import commands
from .forms.job import OPTION_GROUPS, JobForm

SENT_BEFORE = "This form has made job {} already, with other content. Submit again to make another job."


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """A task in the list to choose from."""

    name: str
    summary: str
    queue: str
    arguments: str


@blueprint.route("/new")
@needs(Role.OPERATOR)
def new() -> str:
    """List the tasks, for one to be chosen."""
    entries = [_entry(task) for task in public_tasks()]
    wanted = request.args.get("q", "").strip()
    words = wanted.casefold().split()
    shown = [entry for entry in entries if all(word in f"{entry.name} {entry.summary}".casefold() for word in words)]
    return render_template("dashboard/new.html", entries=shown, total=len(entries), wanted=wanted)


@blueprint.route("/new/<path:task>")
@needs(Role.OPERATOR)
def new_task(task: str) -> str:
    """Show the form of a task; with `from`, filled in like that job."""
    like = _job_like_this(task)
    form = JobForm(_task(task), like, may_keep="all" not in request.args)
    return _page(form, like)


@blueprint.route("/new/<path:task>", methods=["POST"])
def submit(task: str) -> tuple[str, int] | Response:
    """Submit the form. Sent twice, it makes one job."""
    like = _job_like_this(task)
    form = JobForm(_task(task), like, may_keep=True)
    form.take(request.form)
    if request.files:
        form.arguments.take_uploads(request.files, service.get_many([form.id]).get(form.id))
    submission = form.submission()
    if submission is None:
        return _page(form, like), 422
    try:
        job = service.submit(submission, taken=service.Taken.SAME)
    except ValueNotStorable as error:
        form.general.append(f"{str(error)[:1].upper()}{str(error)[1:]}.")
        return _page(form, like), 422
    except JobExists as error:
        return _refuse_taken(form, like, error.job_id)
    if _differs(job, submission):
        return _refuse_taken(form, like, job.id)
    return redirect(url_for("dashboard.job", job_id=job.id), 303)


@blueprint.route("/new-command/<path:task>", methods=["POST"])
def command(task: str) -> str:
    """Return the commands for what is typed in the form. Nothing is stored."""
    form = JobForm(_task(task), _job_like_this(task), may_keep=True)
    form.take(request.form)
    return render_template("dashboard/_commands.html", **_commands(form))


def needs_key() -> bool:
    """Say whether a program that does what this visitor does needs a key."""
    return visitor().how in ("key", "session")


def _page(form: JobForm, like: JobView | None) -> str:
    return render_template(
        "dashboard/new_task.html",
        summary=summary_of(form.task),
        queue=queue_of(form.task),
        queues=_known_queues(),
        form=form,
        option_groups=OPTION_GROUPS,
        like=like,
        **_commands(form),
    )


def _commands(form: JobForm) -> dict[str, Any]:
    """Return the commands for what can be read; the messages of the fields stay as they are."""
    messages = {field.key: field.errors for field in form.all_fields}
    body = form.body()
    unfinished = [field.name for field in form.wrong_fields]
    for field in form.all_fields:
        field.errors = messages.get(field.key, [])
    root, key = request.url_root.rstrip("/"), needs_key()
    return {"commands": commands(body, root, needs_key=key), "unfinished": unfinished, "needs_key": key}


def _known_queues() -> list[str]:
    declared = current_app.extensions["celery"].amqp.queues
    return sorted({*declared, *map(queue_of, public_tasks())})


def _refuse_taken(form: JobForm, like: JobView | None, job_id: str) -> tuple[str, int]:
    field = form.options["task_id"]
    if field.typed.get(""):
        field.refuse(["This id is taken by another job."])
    else:
        form.general.append(SENT_BEFORE.format(job_id))
        form.id = new_id()
    return _page(form, like), 409


def _differs(job: JobView, submission: Submission) -> bool:
    """Say whether a job that was there has other options than what was submitted now under its id."""
    asked: dict[str, Any] = {"queue": submission.queue, "priority": submission.priority, **submission.message}
    has = {"queue": job.queue, "priority": job.priority, **job.options}
    return set(submission.tags) != set(job.tags) or any(
        value is not None and value != has[name] for name, value in asked.items()
    )


def _task(name: str) -> celery.Task:
    try:
        return find_task(name)
    except UnknownTask:
        raise NotFound(f"There is no task {name} that can be submitted.") from None


def _job_like_this(task: str) -> JobView | None:
    """Return the job in `from`, if it is there and of this task."""
    job_id = request.values.get("from", "")
    try:
        job = service.get(job_id) if job_id.isascii() and job_id.isprintable() else None
    except JobNotFound:
        return None
    return job if job and job.task == task else None


def _entry(task: celery.Task) -> TaskEntry:
    described = json_schema_of(task)
    needed = described.get("required", ())
    names = [name if name in needed else f"{name}?" for name in described["properties"]]
    if described["additionalProperties"]:
        names.append("…")
    return TaskEntry(task.name, summary_of(task), queue_of(task), ", ".join(names))
