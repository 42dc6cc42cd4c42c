"""Mails with files."""

import pytest
from flask import Flask

from task_app.files import service as files
from task_app.jobs.states import State
from task_app.testing.attempts import run_attempt

from ..gallery import failure, run, stored, submitted
from ..postbox import Postbox
from .test_mail import StartServer, postbox, server, start_server

__all__ = ["StartServer", "postbox", "server", "start_server"]  # fixtures


def test_files_go_with_a_mail(app: Flask, server: int, postbox: Postbox) -> None:
    ids = [stored(app, "a;b\n", "Tafel ä.csv"), stored(app, b"\x00\xff" * 500, "noise.bin")]
    job = run(app, "send_email", to="ada@example.com", subject="x", body="text", html="<b>text</b>", attachments=ids)
    assert job.state == State.SUCCESS
    (mail,) = postbox.mails
    body = mail.get_body(("plain",))
    assert body is not None and body.get_content().strip() == "text"
    table, noise = mail.iter_attachments()
    assert (table.get_filename(), table.get_content_type()) == ("Tafel ä.csv", "text/csv")
    assert table.get_payload(decode=True) == b"a;b\n"
    assert noise.get_content() == b"\x00\xff" * 500


@pytest.mark.parametrize("media_type", ["message/rfc822", "multipart/mixed; boundary=x", "Multipart/Form-Data"])
def test_a_file_that_would_be_a_part_of_the_mail_goes_as_bytes(
    app: Flask, server: int, postbox: Postbox, media_type: str
) -> None:
    content = "Subject: Grüße\r\n\r\n--x\r\n\nno mail at all".encode("latin-1")
    with app.app_context():
        file = files.store(content, "letter.eml", media_type).id
    job = run(app, "send_email", to="ada@example.com", subject="x", body="text", attachments=[file])
    assert job.state == State.SUCCESS, job.error
    (part,) = postbox.mails[0].iter_attachments()
    assert (part.get_filename(), part.get_content_type()) == ("letter.eml", "application/octet-stream")
    assert part.get_payload(decode=True) == content


def test_too_much_for_a_mail_fails_at_once(app: Flask, server: int, postbox: Postbox) -> None:
    ids = [stored(app, b"x" * 6_000_000, "half.bin") for _ in range(2)]
    job = run(app, "send_email", to="ada@example.com", subject="x", body="x", attachments=ids)
    assert failure(job) == ("UnusableInput", "the attachments are larger than 10,485,760 bytes")
    assert postbox.mails == []


def test_a_file_that_is_gone_sends_no_mail(app: Flask, server: int, postbox: Postbox) -> None:
    file = stored(app, "x", "x.txt")
    job_id = submitted(app, "send_email", to="ada@example.com", subject="x", body="x", attachments=[file, file])
    gone = submitted(app, "send_email", to="a@example.com", subject="x", body="x", attachments=["file-" + "0" * 32])
    assert failure(run_attempt(app, gone))[0] == "FileNotFound"
    assert run_attempt(app, job_id).state == State.SUCCESS
    assert len(postbox.mails) == 1
