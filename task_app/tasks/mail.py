"""Tasks that send mail.

A mail server that is away or busy is tried again, with growing pauses; a mail it refuses fails at once. A mail can go
out twice when a machine dies between the server's yes and the record of it: both bear the same Message-ID.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Annotated
from urllib.parse import quote
from uuid import uuid4

from celery import Task, shared_task
from flask import current_app
from marshmallow.validate import Email, Length, Predicate

from .. import mailer
from ..errors import FilesUnavailable, MailDelayed, UnusableInput
from ..files.hints import FileId
from ..files.service import info as file_info
from ..files.service import open_file
from ..users import service as users

EmailAddress = Annotated[str, Email(), Predicate("isascii", error="Must be ASCII."), Length(max=255)]
Line = Annotated[str, Predicate("isprintable", error="Must be one line of printable text."), Length(max=255)]

#: Bytes of all attachments of a mail. In the mail they are a third more, and many servers take no more than 20 MB.
ATTACHMENTS_LIMIT = 10 * 1024 * 1024

TRY_AGAIN = {
    "autoretry_for": (MailDelayed, FilesUnavailable),
    "retry_backoff": 2,
    "retry_backoff_max": 3600,
    "retry_jitter": True,
    "max_retries": 12,
}


@shared_task(bind=True, **TRY_AGAIN)
def send_email(
    self: Task,
    to: EmailAddress,
    subject: Line,
    body: str,
    html: Annotated[str | None, "The same with markup, for who can see it."] = None,
    attachments: Annotated[list[FileId] | None, Length(max=20), "Files of 10 MiB at most, together."] = None,
) -> None:
    """Send a mail."""
    send(self, Address(addr_spec=to), subject, body, html, attachments)


@shared_task(bind=True, **TRY_AGAIN)
def send_welcome_email(self: Task, user_id: int) -> None:
    """Welcome a user by mail."""
    user = users.get(user_id)
    if user is None:
        raise LookupError(f"there is no user {user_id}")
    send(self, Address(user.name, addr_spec=user.email), "Welcome!", f"Hello {user.name},\n\nnice to have you here.\n")


def send(
    task: Task, to: Address, subject: str, body: str, html: str | None = None, attachments: Sequence[str] | None = None
) -> None:
    """Send a mail from within a task: also for tasks of your own, with `TRY_AGAIN`."""
    job_id = task.request.id or str(uuid4())
    message = compose(job_id, to, subject, body, html)
    attach(message, attachments or ())
    mailer.deliver(message, name=job_id)


def compose(job_id: str, to: Address, subject: str, body: str, html: str | None = None) -> EmailMessage:
    """Make a mail whose Message-ID is the same for each attempt of a job.

    Raises ValueError for a line break in a header.
    """
    sender = current_app.config["MAIL_FROM"]
    # 7 bits pass through every mail server.
    message = EmailMessage(SMTP.clone(cte_type="7bit"))
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = datetime.now(UTC)
    message["Message-ID"] = f"<{quote(job_id, safe='')}@{parseaddr(sender)[1].rpartition('@')[2] or 'localhost'}>"
    message.set_content(body)
    if html is not None:
        message.add_alternative(html, subtype="html")
    return message


def attach(message: EmailMessage, file_ids: Sequence[str]) -> None:
    """Add files to a mail. Raises UnusableInput for more bytes than a mail should have, before any is read."""
    files = [file_info(file_id) for file_id in file_ids]
    if sum(file.size for file in files) > ATTACHMENTS_LIMIT:
        raise UnusableInput(f"the attachments are larger than {ATTACHMENTS_LIMIT:,} bytes")
    for file in files:
        with open_file(file.id) as stream:
            content = stream.read()
        kind, part = _type_in_mail(file.type)
        message.add_attachment(content, maintype=kind, subtype=part, filename=file.name)


def _type_in_mail(media_type: str) -> tuple[str, str]:
    """Return both halves of the type. What mail readers would take for a part of the mail, and change, is bytes."""
    kind, _, part = media_type.partition(";")[0].strip().lower().partition("/")
    return ("application", "octet-stream") if kind in ("message", "multipart") else (kind, part)
