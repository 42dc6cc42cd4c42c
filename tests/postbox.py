"""A real mail server of a test."""

import asyncio
import email
import email.policy
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

OK = "250 OK"


class Postbox:
    """What the test's mail server does with mails: it gives the planned answers first, then takes everything."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.offered: list[EmailMessage] = []  # with those that were not taken
        self.recipients: list[list[str]] = []
        self.answers_to_recipient: list[str] = []
        self.answers_to_mail: list[str] = []
        self.encrypted: list[bool] = []
        #: How often the server says nothing more, before or after it has taken a mail.
        self.stalls_before_mail = self.stalls_after_mail = 0
        self.stalled = threading.Event()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        """Take a recipient, or answer as planned."""
        answer = self.answers_to_recipient.pop(0) if self.answers_to_recipient else OK
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Take a mail, or answer as planned."""
        mail = parse(envelope.content)
        self.offered.append(mail)
        if self.stalls_before_mail:
            self.stalls_before_mail -= 1
            await self._stall()
        answer = self.answers_to_mail.pop(0) if self.answers_to_mail else OK
        if answer == OK:
            self.mails.append(mail)
            self.recipients.append(envelope.rcpt_tos)
            self.encrypted.append(session.ssl is not None)
        if self.stalls_after_mail:
            self.stalls_after_mail -= 1
            await self._stall()
        return answer

    async def _stall(self) -> None:
        """Wait until the other side hangs up: then this is cancelled."""
        self.stalled.set()
        await asyncio.Event().wait()


def parse(content: bytes) -> EmailMessage:
    """Read a mail as it was sent."""
    return email.message_from_bytes(content, policy=email.policy.default)


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def mail_server(postbox: Postbox, **options: Any) -> Iterator[int]:
    """Run a mail server with these options of aiosmtpd; yields its port."""
    controller = Controller(postbox, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield int(controller.port)
    finally:
        controller.stop()
