"""Retry with edited arguments: the arguments of an ended job in the form of its task."""

from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from ..errors import IllegalMove
from ..jobs import service
from ..jobs.states import is_final
from ..jobs.view import JobView
from ..keys.roles import Role
from ..mirror.public import UnknownTask, find_task
from ..web.access import needs
from ..web.submission import edited_arguments
from .blueprint import blueprint
from .forms.arguments import ArgumentsForm

GONE = "There is no task {} any more that could check the arguments. The job can only run again as it was."
NOT_ENDED = "It can't be retried: it is {}. Only a job that has ended runs again."
RUN_MEANWHILE = "The job has run again since this form was opened. Look at its page; then submit again, if you will."


@dataclass
class EditForm:
    """The arguments of a job, and the attempt they are of."""

    job: JobView
    arguments: ArgumentsForm | None
    problem: str = ""

    @property
    def can_be_sent(self) -> bool:
        """Say whether the job could be retried with other arguments."""
        return self.arguments is not None and is_final(self.job.state)


@blueprint.route("/jobs/<job_id>/edit")
@needs(Role.OPERATOR)
def edit(job_id: str) -> tuple[str, int]:
    """Show the arguments of an ended job, to be changed."""
    form = _form(service.get(job_id), may_keep="all" not in request.args)
    return _page(form, 409 if form.problem else 200)


@blueprint.route("/jobs/<job_id>/edit", methods=["POST"])
def retry_edited(job_id: str) -> tuple[str, int] | Response:
    """Run the job again with these arguments. Sent twice, it runs again once."""
    form = _form(service.get(job_id), may_keep=True)
    if not _has_done_its_work(form):
        texts, status = _checked(form)
        if texts is None:
            return _page(form, status)
        try:
            service.retry(job_id, args=texts["args"], kwargs=texts["kwargs"], attempt=form.job.attempt)
        except IllegalMove as error:
            form.problem = f"Nothing has changed: {error}."
            return _page(form, 409)
        flash("It runs again, with the arguments as edited.", "success")
    return redirect(url_for("dashboard.job", job_id=job_id), 303)


def _checked(form: EditForm) -> tuple[dict[str, str] | None, int]:
    """Return the new arguments as JSON texts, or None and the status of the refusal, which then stands in the form."""
    if form.arguments is None or form.problem:
        return None, 409
    form.arguments.take(request.form)
    if request.form.get("attempt") != str(form.job.attempt):
        form.problem = RUN_MEANWHILE
        return None, 409
    form.arguments.take_uploads(request.files)
    args, kwargs = form.arguments.call()
    try:
        texts = edited_arguments(form.job, {"args": args, "kwargs": kwargs})
    except ValidationError as error:
        form.problem = " ".join(form.arguments.refuse(error.messages_dict))
        return None, 422
    return (None, 422) if form.arguments.wrong_fields else (texts, 200)


def _has_done_its_work(form: EditForm) -> bool:
    """Say whether the job is in the attempt that this form asked for: then it was sent before."""
    if form.arguments is None or request.form.get("attempt") != str(form.job.attempt - 1):
        return False
    typed = ArgumentsForm(form.arguments.task, form.job, may_keep=True)
    typed.take(request.form)
    return typed.call() == (form.job.args, form.job.kwargs) and not typed.wrong_fields


def _form(job: JobView, *, may_keep: bool) -> EditForm:
    try:
        task = find_task(job.task)
    except UnknownTask:
        return EditForm(job, None, GONE.format(job.task))
    problem = "" if is_final(job.state) else NOT_ENDED.format(job.state)
    return EditForm(job, ArgumentsForm(task, job, may_keep=may_keep), problem)


def _page(form: EditForm, status: int) -> tuple[str, int]:
    return render_template("dashboard/edit.html", form=form, job=form.job), status
