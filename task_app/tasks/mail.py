"""Tasks that send mail.

A mail server that is away or busy is tried again, with growing pauses; a mail it refuses fails at once. A mail can go
out twice when a machine dies between the server's yes and the record of it: both bear the same Message-ID.
"""

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
from ..errors import MailDelayed
from ..users import service as users

EmailAddress = Annotated[str, Email(), Predicate("isascii", error="Must be ASCII."), Length(max=255)]
Line = Annotated[str, Predicate("isprintable", error="Must be one line of printable text."), Length(max=255)]

TRY_AGAIN = {
    "autoretry_for": (MailDelayed,),
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
) -> None:
    """Send a mail."""
    _send(self, Address(addr_spec=to), subject, body, html)


@shared_task(bind=True, **TRY_AGAIN)
def send_welcome_email(self: Task, user_id: int) -> None:
    """Welcome a user by mail."""
    user = users.get(user_id)
    if user is None:
        raise LookupError(f"there is no user {user_id}")
    _send(self, Address(user.name, addr_spec=user.email), "Welcome!", f"Hello {user.name},\n\nnice to have you here.\n")


def _send(task: Task, to: Address, subject: str, body: str, html: str | None = None) -> None:
    job_id = task.request.id or str(uuid4())
    mailer.deliver(compose(job_id, to, subject, body, html), name=job_id)


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
