"""Hands a mail to the mail server of SMTP_URL, or without one writes it to `instance/mail/`."""

import smtplib
import ssl
from contextlib import closing, suppress
from email.message import EmailMessage
from pathlib import Path
from tempfile import NamedTemporaryFile
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from flask import current_app

from .errors import MailDelayed, MailRefused

#: Seconds for each step of the conversation with a mail server.
TIMEOUT = 30


def deliver(message: EmailMessage, name: str) -> None:
    """Send a mail, or write it to the file `name`.eml; a file of this name is replaced.

    Needs an app context. Raises MailDelayed when it makes sense to try again later, MailRefused when it doesn't.
    """
    url = current_app.config["SMTP_URL"]
    if url is None:
        _write(message, Path(current_app.instance_path, "mail", f"{quote(name, safe='')}.eml"))
        return
    parts = urlsplit(url)
    try:
        with closing(_connect(parts)) as server:
            server.send_message(message)
            # The server has the mail; how it says goodbye changes nothing.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
    except (smtplib.SMTPException, OSError) as error:
        problem = f"{parts.hostname}: {_describe(error)}"
        raise (MailRefused if _is_permanent(error) else MailDelayed)(problem) from error


def _connect(url: SplitResult) -> smtplib.SMTP:
    """Open a connection to smtp://[user:password@]host[:port][?starttls] or smtps://…; the caller closes it."""
    host, port, tls = url.hostname or "", url.port or 0, ssl.create_default_context()
    server: smtplib.SMTP
    if url.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=tls)
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    try:
        if "starttls" in parse_qs(url.query, keep_blank_values=True):
            server.starttls(context=tls)
        if url.username:
            server.login(unquote(url.username), unquote(url.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _write(message: EmailMessage, path: Path) -> None:
    """Write a file that is either whole or not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            file.write(message.as_bytes())
        Path(file.name).replace(path)
    except OSError as error:
        raise MailDelayed(f"{path}: {error.strerror}") from error


def _is_permanent(error: Exception) -> bool:
    """Say whether the same mail would fail again: the server's own answer 5xx, or a connection that isn't secure."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _ in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code >= 500
    return isinstance(error, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError)


def _describe(error: Exception) -> str:
    """Say what went wrong as the server said it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(_answer(code, text) for code, text in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error)
    return str(error) or type(error).__name__


def _answer(code: int, text: bytes | str) -> str:
    return f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
