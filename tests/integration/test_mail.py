"""Mails: to a real SMTP server of the test, and into files without one."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from flask import Flask

from task_app import mailer
from task_app.jobs import service
from task_app.tasks import send_email, send_welcome_email
from task_app.users import service as users

from ..certificates import certificate_for
from ..inprocess import run_attempt
from ..postbox import Postbox, free_port, mail_server, parse


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


StartServer = Callable[..., int]


@pytest.fixture
def start_server(postbox: Postbox) -> Iterator[StartServer]:
    """Return a function that starts a mail server with these options and returns its port."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(mail_server(postbox, **options))


@pytest.fixture
def server(app: Flask, start_server: StartServer) -> int:
    """A plain mail server that the app uses; returns its port."""
    port = start_server()
    app.config["SMTP_URL"] = f"smtp://127.0.0.1:{port}"
    return port


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The server's side of TLS, with a certificate for localhost that this process trusts."""
    file = certificate_for("localhost", tmp_path / "certificate.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


def mail_job() -> str:
    return str(send_email.delay("ada@example.com", "Grüße", "Schöne Tage!\n").id)


def error_of(app: Flask, job_id: str) -> str:
    with app.app_context():
        error = service.get(job_id).error
    assert error is not None
    return str(error["message"])


def test_a_mail_arrives_as_it_was_meant(app: Flask, server: int, postbox: Postbox) -> None:
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "SUCCESS"
    (mail,) = postbox.mails
    assert postbox.recipients == [["ada@example.com"]]
    assert mail["To"] == "ada@example.com"
    assert mail["From"] == app.config["MAIL_FROM"]
    assert mail["Subject"] == "Grüße"
    assert mail.get_content().splitlines() == ["Schöne Tage!"]
    assert mail["Message-ID"] == f"<{job_id}@localhost>"
    assert abs(mail["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_sender_may_have_a_name(app: Flask, server: int, postbox: Postbox) -> None:
    app.config["MAIL_FROM"] = "Jobs <jobs@example.org>"
    job_id = mail_job()
    run_attempt(app, job_id)
    (mail,) = postbox.mails
    assert mail["From"] == "Jobs <jobs@example.org>"
    assert mail["Message-ID"] == f"<{job_id}@example.org>"


def test_a_welcome_mail_goes_to_the_user(app: Flask, server: int, postbox: Postbox) -> None:
    with app.app_context():
        user_id = users.add("Søren, the First", "soren@example.com").id
    assert run_attempt(app, send_welcome_email.delay(user_id).id).state == "SUCCESS"
    (mail,) = postbox.mails
    assert mail["To"].addresses[0].display_name == "Søren, the First"
    assert postbox.recipients == [["soren@example.com"]]
    assert "Søren, the First" in mail.get_content()


def test_a_user_who_is_gone_gets_no_mail(app: Flask, server: int, postbox: Postbox) -> None:
    job_id = send_welcome_email.delay(7).id
    assert run_attempt(app, job_id).state == "FAILURE"
    assert error_of(app, job_id) == "there is no user 7"
    assert postbox.mails == []


@pytest.mark.parametrize("where", ["answers_to_recipient", "answers_to_mail"])
def test_a_busy_server_is_tried_again_with_the_same_message_id(
    app: Flask, server: int, postbox: Postbox, where: str
) -> None:
    getattr(postbox, where).append("451 come back later")
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "RETRY"
    assert error_of(app, job_id) == "127.0.0.1: 451 come back later"
    assert run_attempt(app, job_id).state == "SUCCESS"
    assert [mail["Message-ID"] for mail in postbox.mails] == [f"<{job_id}@localhost>"]


def test_a_greylisted_mail_comes_back_as_the_same_mail(app: Flask, server: int, postbox: Postbox) -> None:
    postbox.answers_to_mail += ["450 greylisted", "450 greylisted"]
    job_id = mail_job()
    assert [run_attempt(app, job_id).state for _ in range(3)] == ["RETRY", "RETRY", "SUCCESS"]
    assert [mail["Message-ID"] for mail in postbox.offered] == [f"<{job_id}@localhost>"] * 3
    assert len(postbox.mails) == 1


def test_pauses_grow_and_end(app: Flask, server: int, postbox: Postbox) -> None:
    postbox.answers_to_mail += ["451 never"] * 20
    job_id = mail_job()
    states = [run_attempt(app, job_id).state for _ in range(13)]
    assert states == ["RETRY"] * 12 + ["FAILURE"]
    assert len(postbox.offered) == 13


def test_a_server_that_stalls_is_left_and_tried_again(
    app: Flask, server: int, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "TIMEOUT", 0.5)
    postbox.stalls_before_mail = 1
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "RETRY"
    assert "timed out" in error_of(app, job_id)
    assert run_attempt(app, job_id).state == "SUCCESS"
    assert len(postbox.mails) == 1


def test_a_mail_that_was_taken_without_a_word_comes_again_under_its_id(
    app: Flask, server: int, postbox: Postbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailer, "TIMEOUT", 0.5)
    postbox.stalls_after_mail = 1
    job_id = mail_job()
    assert [run_attempt(app, job_id).state for _ in range(2)] == ["RETRY", "SUCCESS"]
    assert [mail["Message-ID"] for mail in postbox.mails] == [f"<{job_id}@localhost>"] * 2


def test_a_server_that_does_not_even_greet_is_left(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailer, "TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app.config["SMTP_URL"] = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        assert run_attempt(app, mail_job()).state == "RETRY"


def test_a_cancel_between_two_tries_keeps_the_mail_back(app: Flask, server: int, postbox: Postbox) -> None:
    postbox.answers_to_mail.append("450 greylisted")
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "RETRY"
    with app.app_context():
        assert service.cancel(job_id).state == "REVOKED"
    assert postbox.mails == []


def test_a_mail_with_markup_has_both_forms(app: Flask, server: int, postbox: Postbox) -> None:
    html = "<p>Schöne <b>Tage</b>!</p>"
    job_id = send_email.delay("ada@example.com", "Grüße", "Schöne Tage!", html=html).id
    assert run_attempt(app, job_id).state == "SUCCESS"
    (mail,) = postbox.mails
    assert mail.get_content_type() == "multipart/alternative"
    plain, rich = mail.iter_parts()
    assert (plain.get_content_type(), plain.get_content().strip()) == ("text/plain", "Schöne Tage!")
    assert (rich.get_content_type(), rich.get_content().strip()) == ("text/html", html)
    assert mail["Message-ID"] == f"<{job_id}@localhost>"


@pytest.mark.parametrize("where", ["answers_to_recipient", "answers_to_mail"])
def test_a_refused_mail_fails_at_once(app: Flask, server: int, postbox: Postbox, where: str) -> None:
    getattr(postbox, where).append("550 nobody of this name")
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "FAILURE"
    assert error_of(app, job_id) == "127.0.0.1: 550 nobody of this name"


def test_a_server_that_is_away_is_tried_again(app: Flask, start_server: StartServer, postbox: Postbox) -> None:
    app.config["SMTP_URL"] = f"smtp://user:secret@127.0.0.1:{free_port()}"
    job_id = mail_job()
    job = run_attempt(app, job_id)
    assert job.state == "RETRY"
    assert "refused" in error_of(app, job_id)
    assert "secret" not in str(job.error)
    app.config["SMTP_URL"] = f"smtp://127.0.0.1:{start_server()}"
    assert run_attempt(app, job_id).state == "SUCCESS"


def test_a_server_that_hangs_up_is_tried_again(app: Flask) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app.config["SMTP_URL"] = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        listener.listen()
        job_id = mail_job()

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert run_attempt(app, job_id).state == "RETRY"
        thread.join()


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"us:er", b"p@ss/word"), handled=False)


LOGIN = {"authenticator": authenticate, "auth_required": True}


def test_user_and_password_are_given(
    app: Flask, start_server: StartServer, postbox: Postbox, tls: ssl.SSLContext
) -> None:
    port = start_server(tls_context=tls, **LOGIN)
    app.config["SMTP_URL"] = f"smtp://us%3Aer:p%40ss%2Fword@localhost:{port}?starttls"
    assert run_attempt(app, mail_job()).state == "SUCCESS"
    assert len(postbox.mails) == 1


def test_a_wrong_password_fails_at_once(app: Flask, start_server: StartServer, tls: ssl.SSLContext) -> None:
    port = start_server(tls_context=tls, **LOGIN)
    app.config["SMTP_URL"] = f"smtp://us%3Aer:wrong@localhost:{port}?starttls"
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "FAILURE"
    assert "535" in error_of(app, job_id)


def busy(server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(success=False, handled=False, message="454 4.7.0 come back later")


def test_a_sign_in_that_fails_for_now_is_tried_again(
    app: Flask, start_server: StartServer, tls: ssl.SSLContext
) -> None:
    port = start_server(tls_context=tls, authenticator=busy, auth_required=True)
    app.config["SMTP_URL"] = f"smtp://user:secret@localhost:{port}?starttls"
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "RETRY"
    assert "454" in error_of(app, job_id) and "secret" not in error_of(app, job_id)


def test_starttls_encrypts(app: Flask, start_server: StartServer, postbox: Postbox, tls: ssl.SSLContext) -> None:
    port = start_server(tls_context=tls, require_starttls=True)
    app.config["SMTP_URL"] = f"smtp://localhost:{port}?starttls"
    assert run_attempt(app, mail_job()).state == "SUCCESS"
    assert postbox.encrypted == [True]


def test_smtps_encrypts(app: Flask, start_server: StartServer, postbox: Postbox, tls: ssl.SSLContext) -> None:
    app.config["SMTP_URL"] = f"smtps://localhost:{start_server(ssl_context=tls)}"
    assert run_attempt(app, mail_job()).state == "SUCCESS"
    assert len(postbox.mails) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_nobody_vouches_for_fails_at_once(
    app: Flask,
    start_server: StartServer,
    postbox: Postbox,
    tls: ssl.SSLContext,
    scheme: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    port = start_server(**({"tls_context": tls} if scheme == "smtp" else {"ssl_context": tls}))
    app.config["SMTP_URL"] = f"{scheme}://localhost:{port}?starttls"
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "FAILURE"
    assert "certificate" in error_of(app, job_id)
    assert postbox.mails == []


def test_a_server_without_starttls_is_not_trusted_with_the_mail(app: Flask, server: int, postbox: Postbox) -> None:
    app.config["SMTP_URL"] += "?starttls"
    assert run_attempt(app, mail_job()).state == "FAILURE"
    assert postbox.mails == []


# -- without a server --------------------------------------------------------------------------------------------


def test_without_a_server_the_mail_is_a_file(app: Flask) -> None:
    job_id = mail_job()
    assert run_attempt(app, job_id).state == "SUCCESS"
    (file,) = Path(app.instance_path, "mail").iterdir()
    assert file.name == f"{job_id}.eml"
    mail = parse(file.read_bytes())
    assert (mail["To"], mail["Subject"]) == ("ada@example.com", "Grüße")


@pytest.mark.parametrize("job_id", ["../outside", "/tmp/outside", ".."])
def test_an_id_brought_by_others_stays_in_the_folder(app: Flask, job_id: str) -> None:
    send_email.apply_async(("ada@example.com", "s", "b"), task_id=job_id)
    assert run_attempt(app, job_id).state == "SUCCESS"
    (file,) = Path(app.instance_path, "mail").iterdir()
    assert file.suffix == ".eml"


def test_a_line_break_never_reaches_a_header(app: Flask, server: int, postbox: Postbox) -> None:
    # Through the API this is refused; a Python caller can still try.
    job_id = send_email.delay("ada@example.com", "s\r\nBcc: eve@example.com", "b").id
    assert run_attempt(app, job_id).state == "FAILURE"
    assert postbox.mails == []
