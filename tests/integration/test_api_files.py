"""/files: what comes in, how it goes out, and what is refused; nothing that was refused leaves a trace."""

import hashlib
import unicodedata
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from task_app.files.models import File
from task_app.files.names import Types
from task_app.jobs.runtime import JobRuntime
from task_app.web import uploads

from .test_api_submit import errors_of, problem_of

BOUNDARY = "xYzZY"
HTML = b"<script>alert(document.domain)</script>"
NOBODY = "file-" + "0" * 32


def upload(
    client: FlaskClient, content: bytes = b"a,b\n", name: str = "t.csv", kind: str | None = None
) -> TestResponse:
    part = (BytesIO(content), name, kind) if kind else (BytesIO(content), name)
    return client.post("/files", data={"file": part})


def uploaded(client: FlaskClient, *args: Any, **kwargs: Any) -> dict[str, Any]:
    response = upload(client, *args, **kwargs)
    assert response.status_code == 201, response.text
    stored: dict[str, Any] = response.get_json()
    return stored


def send(client: FlaskClient, body: bytes, kind: str = f"multipart/form-data; boundary={BOUNDARY}", **more: Any) -> Any:
    return client.post("/files", data=body, content_type=kind, **more)


def send_in_chunks(client: FlaskClient, body: Any) -> Any:
    """Send a body without a length, as servers pass on what comes in chunks."""
    return send_as(client, body, "", **{"wsgi.input_terminated": True})


def send_as(client: FlaskClient, body: Any, length: str, **more: Any) -> Any:
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    environ = {"wsgi.input": body, "CONTENT_TYPE": kind, "CONTENT_LENGTH": length, **more}
    return client.post("/files", environ_overrides=environ)


def part(content: bytes, disposition: str = 'form-data; name="file"; filename="a.txt"', more: str = "") -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def traces(app: Flask) -> tuple[int, int]:
    """Count rows and bytes on the disk."""
    runtime: JobRuntime = app.extensions["jobs"]
    with runtime.engine.connect() as connection:
        rows = len(connection.execute(select(File.id)).all())
    return rows, sum(path.is_file() for path in Path(app.config["FILES_URL"]).rglob("*"))


@pytest.fixture
def limited(app: Flask) -> Flask:
    """An app that takes small tables and pictures only."""
    app.extensions["files"] = replace(
        app.extensions["files"], size_limit=100_000, types=Types.parse("text/csv, image/*")
    )
    return app


# -- in and out --------------------------------------------------------------------------------------------------------


def test_what_was_uploaded_comes_back(app: Flask, client: FlaskClient) -> None:
    content = bytes(range(256)) * 4000
    response = send(client, part(content, 'form-data; name="file"; filename="data.bin"') + END)
    stored = response.get_json()
    digest = hashlib.sha256(content).hexdigest()
    assert response.status_code == 201
    assert response.headers["Location"] == stored["link"] == f"/files/{stored['id']}"
    assert (stored["name"], stored["size"], stored["sha256"]) == ("data.bin", len(content), digest)
    with client.get(stored["link"]) as back:
        assert back.data == content
        assert back.headers["ETag"] == f'"{digest}"'
        assert back.headers["Content-Length"] == str(len(content))
    assert client.get(f"{stored['link']}/info").get_json() == stored
    head = client.head(stored["link"])
    assert (head.status_code, head.data, head.headers["Content-Length"]) == (200, b"", str(len(content)))
    assert traces(app) == (1, 1)


def test_content_that_looks_like_a_boundary_is_content(client: FlaskClient) -> None:
    content = f"\r\n--{BOUNDARY}x\r\n--{BOUNDARY[:-1]}\r\n\r\n--".encode() * 9000
    stored = send(client, part(content) + END).get_json()
    with client.get(stored["link"]) as back:
        assert back.data == content


def test_a_range_is_sent_alone(client: FlaskClient) -> None:
    link = uploaded(client, bytes(range(100)))["link"]
    with client.get(link, headers={"Range": "bytes=10-19"}) as back:
        assert (back.status_code, back.data) == (206, bytes(range(10, 20)))
        assert back.headers["Content-Range"] == "bytes 10-19/100"
    beyond = client.get(link, headers={"Range": "bytes=200-"})
    assert problem_of(beyond, 416)
    etag = client.head(link).headers["ETag"]
    assert client.get(link, headers={"If-None-Match": etag}).status_code == 304


def test_files_are_listed_newest_first_page_by_page(client: FlaskClient) -> None:
    names = [uploaded(client, name=f"{number}.txt")["name"] for number in range(5)]
    first = client.get("/files?limit=3").get_json()
    second = client.get(first["next"]).get_json()
    assert [file["name"] for file in first["files"] + second["files"]] == names[::-1]
    assert second["next"] is None
    assert "cursor" in errors_of(client.get("/files?cursor=x"))


def test_an_empty_file_is_a_file(client: FlaskClient) -> None:
    stored = uploaded(client, b"", "empty.txt")
    assert stored["size"] == 0
    assert client.get(stored["link"]).data == b""


def test_a_body_in_chunks_needs_no_length(client: FlaskClient) -> None:
    body = part(b"x" * 300_000) + END
    response = send_in_chunks(client, BytesIO(body))
    assert response.status_code == 201
    assert response.get_json()["size"] == 300_000


def test_a_large_upload_is_never_in_memory(client: FlaskClient, app: Flask) -> None:
    read: list[int] = []

    class Endless:
        """The body of an upload of 64 MiB, made as it is asked for."""

        left = 64 * 2**20

        def __init__(self) -> None:
            self.head, self.tail = part(b"")[:-2], b"\r\n" + END

        def read(self, size: int) -> bytes:
            read.append(size)
            if self.head:
                piece, self.head = self.head, b""
            elif self.left:
                piece = bytes(min(size, self.left))
                self.left -= len(piece)
            else:
                piece, self.tail = self.tail[:size], self.tail[size:]
            return piece

    response = send_in_chunks(client, Endless())
    assert response.get_json()["size"] == 64 * 2**20
    assert max(read) <= uploads.PIECE


# -- names and types ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("/etc/shadow", "shadow"),
        ("..\\..\\windows\\system32\\cmd.exe", "cmd.exe"),
        ("C:\\Users\\me\\report.pdf", "report.pdf"),
        ("..", "file"),
        (".", "file"),
        (".htaccess", "htaccess"),
        ("a/", "file"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("a:b|c?.txt", "a_b_c_.txt"),
        ("stream.txt:ads", "stream.txt_ads"),
        ("a\x00b.txt", "ab.txt"),
        ("a\x1b[31mb\x07.txt", "a[31mb.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\u2028b\u200b.txt", "ab.txt"),
        ("name. . .", "name"),
        ("Übersicht – 日本.csv", "Übersicht – 日本.csv"),
        (unicodedata.normalize("NFD", "é.txt"), "é.txt"),
        ("x" * 1000 + ".csv", "x" * 251 + ".csv"),
        ("ü" * 300, "ü" * 127),
        ("x." + "y" * 300, "x." + "y" * 253),
    ],
)
def test_names_lead_nowhere(client: FlaskClient, app: Flask, given: str, kept: str) -> None:
    escaped = given.replace("\\", "\\\\").replace('"', '\\"')
    stored = send(client, part(b"x", f'form-data; name="file"; filename="{escaped}"') + END).get_json()
    assert stored["name"] == kept
    (path,) = [path for path in Path(app.instance_path).rglob("*") if path.is_file() and path.read_bytes() == b"x"]
    digits = stored["id"].removeprefix("file-")
    assert path == Path(app.config["FILES_URL"], digits[:2], digits)


def test_a_name_cannot_break_out_of_the_header(client: FlaskClient) -> None:
    names = ['a";filename=evil.exe;x=".txt', "a\r\nSet-Cookie: x=1\r\n.txt", "ü\u202e.txt", "a\\.txt"]
    for name in names:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r\n", "%0D%0A")
        body = part(b"x", f'form-data; name="file"; filename="{escaped}"') + END
        link = send(client, body).get_json()["link"]
        with client.get(link) as back:
            assert back.headers.get_all("Content-Disposition")[0].startswith('attachment; filename="')
            assert "Set-Cookie" not in back.headers
            assert back.headers["Content-Disposition"].count('"') == 2


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "text/javascript"])
def test_no_download_is_a_page_of_ours(client: FlaskClient, kind: str) -> None:
    link = uploaded(client, HTML, "page.html", kind)["link"]
    for headers in ({}, {"Range": "bytes=0-5"}, {"Accept": "text/html", "Sec-Fetch-Dest": "document"}):
        with client.get(link, headers=headers) as back:
            assert back.headers["Content-Disposition"].startswith("attachment")
            assert back.headers.get_all("X-Content-Type-Options") == ["nosniff"]
            assert back.headers.get_all("Content-Security-Policy") == [
                "sandbox; default-src 'none'; frame-ancestors 'none'"
            ]


def test_a_lie_about_the_type_is_not_believed_by_browsers(client: FlaskClient) -> None:
    stored = uploaded(client, HTML, "page.html", "image/png")
    assert stored["type"] == "image/png"
    with client.get(stored["link"]) as back:
        assert back.headers["Content-Type"] == "image/png"
        assert back.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("given", "name", "kept"),
    [
        ("Text/CSV; charset=utf-8", "x", "text/csv"),
        ("nonsense", "x.csv", "text/csv"),
        ("a/b/c", "x", "application/octet-stream"),
        ("text/html\x0b\x0c,x", "x", "application/octet-stream"),
        ("x" * 200 + "/y", "x.png", "image/png"),
        ("", "x", "application/octet-stream"),
    ],
)
def test_types_are_kept_if_they_are_types(client: FlaskClient, given: str, name: str, kept: str) -> None:
    body = part(b"x", f'form-data; name="file"; filename="{name}"', f"Content-Type: {given}\r\n") + END
    stored = send(client, body).get_json()
    assert stored["type"] == kept
    with client.get(stored["link"]) as back:
        assert back.headers["Content-Type"] == kept


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_what_is_too_large_is_refused(limited: Flask) -> None:
    client = limited.test_client()
    assert problem_of(upload(client, b"x" * 100_001, "t.csv"), 413)
    assert problem_of(send(client, part(b"x" * 1_000_000) + END), 413)  # before anything is read
    assert upload(client, b"x" * 100_000).status_code == 201
    assert traces(limited) == (1, 1)


def test_what_is_too_large_is_refused_while_it_comes(limited: Flask) -> None:
    body = BytesIO(part(b"x" * 10_000_000, 'form-data; name="file"; filename="t.csv"') + END)
    assert problem_of(send_in_chunks(limited.test_client(), body), 413)
    assert body.tell() < 400_000
    assert traces(limited) == (0, 0)


def test_only_some_types_come_in_where_they_are_limited(limited: Flask) -> None:
    client = limited.test_client()
    assert problem_of(upload(client, b"%PDF", "a.pdf"), 415)["detail"].startswith("files of the type application/pdf")
    assert problem_of(upload(client, b"x", "a.csv", "text/html"), 415)
    assert upload(client, b"x", "a.csv").status_code == 201
    assert upload(client, b"x", "a", "IMAGE/png").status_code == 201
    assert traces(limited) == (2, 2)


@pytest.mark.parametrize(
    "kind", ["application/json", "", "text/plain", "multipart/form-data", "multipart/mixed; boundary=x"]
)
def test_only_forms_bring_files(app: Flask, client: FlaskClient, kind: str) -> None:
    assert problem_of(send(client, part(b"x") + END, kind), 415)
    assert traces(app) == (0, 0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (END, "file"),
        (part(b"x", 'form-data; name="file"') + END, "file"),
        (part(b"", 'form-data; name="file"; filename=""') + END, "file"),
        (part(b"x", 'form-data; name="note"') + part(b"x") + END, "note"),
        (part(b"x") + part(b"x", 'form-data; name="note"') + END, "note"),
        (part(b"x") + part(b"y", 'form-data; name="second"; filename="b"') + END, "second"),
        (part(b"x" * 200_000) + part(b"y" * 200_000, 'form-data; name="second"; filename="b"') + END, "second"),
    ],
    ids=["nothing", "a text", "none chosen", "a text before", "a text after", "two", "two large ones"],
)
def test_a_body_has_one_file_and_nothing_else(app: Flask, client: FlaskClient, body: bytes, field: str) -> None:
    assert list(errors_of(send(client, body))) == [field]
    assert traces(app) == (0, 0)


WHOLE = part(b"x" * 1000) + END


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        WHOLE[:20],
        WHOLE[:90],
        WHOLE[:500],
        WHOLE[: -len(END)],
        WHOLE[:-6],
        f"--{BOUNDARY}\r\n\r\nx".encode() + END,
        part(b"x", 'form-data; name="file"; filename="ÿ"').replace("ÿ".encode(), b"\xff") + END,
        b"\r\n" * 10_000,
    ],
)
def test_half_a_body_is_refused(app: Flask, client: FlaskClient, body: bytes) -> None:
    assert problem_of(send_as(client, BytesIO(body), str(len(body))), 400)
    assert traces(app) == (0, 0)


@pytest.mark.parametrize(
    "body",
    [
        part(b"x", more="X-Long: " + "y" * 1_000_000 + "\r\n") + END,
        part(b"x", 'form-data; name="' + "n" * 1_000_000 + '"; filename="a"') + END,
        b"preamble" * 200_000 + b"\r\n" + part(b"x") + END,
        part(b"x") + END + b"epilogue" * 200_000,
    ],
    ids=["header", "name", "before", "after"],
)
def test_what_stands_around_a_file_is_small(app: Flask, client: FlaskClient, body: bytes) -> None:
    assert problem_of(send(client, body), 413)
    assert traces(app) == (0, 0)


def test_a_length_that_is_too_short_cuts_the_body(app: Flask, client: FlaskClient) -> None:
    for length in ("10", str(len(WHOLE) - 8)):
        assert problem_of(send_as(client, BytesIO(WHOLE), length), 400)
    assert traces(app) == (0, 0)


@pytest.mark.parametrize("more", [{}, {"wsgi.input_terminated": True}], ids=["open", "ended by the server"])
def test_a_length_that_is_too_long_waits_in_vain(app: Flask, client: FlaskClient, more: dict[str, Any]) -> None:
    assert problem_of(send_as(client, BytesIO(WHOLE), str(len(WHOLE) + 100), **more), 400)
    assert traces(app) == (0, 0)
    assert send_as(client, BytesIO(WHOLE), str(len(WHOLE)), **more).status_code == 201


@pytest.mark.parametrize("after", [b"x", b"trailing" * 5000, b"\r\n" + part(b"y") + END, b"\r\n\0"])
def test_nothing_follows_the_last_boundary(app: Flask, client: FlaskClient, after: bytes) -> None:
    assert problem_of(send(client, WHOLE + after), 400)
    assert problem_of(send_in_chunks(client, BytesIO(WHOLE + after)), 400)
    assert traces(app) == (0, 0)


@pytest.mark.parametrize("after", [b"", b"\r\n", b" \t\r\n\n"])
def test_white_space_may_follow_the_last_boundary(client: FlaskClient, after: bytes) -> None:
    assert send(client, WHOLE + after).status_code == 201
    assert send(client, WHOLE.removesuffix(b"\r\n") + after).status_code == 201


@pytest.mark.parametrize(
    "file_id",
    [
        NOBODY,
        "x",
        "file-" + "0" * 31,
        "file-" + "0" * 33,
        "FILE-" + "0" * 32,
        NOBODY + "%00",
        NOBODY + "%0A",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "..%5c..%5cwindows",
        "file-%2e%2e%2f" + "0" * 20,
        "file-" + "%C3%A9" * 16,
        "%FF%FE",
        "x" * 5000,
    ],
)
def test_ids_lead_nowhere(client: FlaskClient, file_id: str) -> None:
    for method, path in (("GET", ""), ("GET", "/info"), ("DELETE", ""), ("HEAD", "")):
        assert client.open(f"/files/{file_id}{path}", method=method).status_code == 404


# -- deleting ----------------------------------------------------------------------------------------------------------


def test_a_deleted_file_is_gone_with_its_bytes(app: Flask, client: FlaskClient) -> None:
    link = uploaded(client)["link"]
    assert client.delete(link).status_code == 204
    assert problem_of(client.get(link), 404)
    assert problem_of(client.delete(link), 404)
    assert traces(app) == (0, 0)


def test_bytes_that_somebody_removed_are_not_found(app: Flask, client: FlaskClient) -> None:
    link = uploaded(client)["link"]
    for path in Path(app.config["FILES_URL"]).rglob("*"):
        if path.is_file():
            path.unlink()
    assert problem_of(client.get(link), 404)
    assert client.delete(link).status_code == 204


def test_a_store_that_is_away_is_no_error_of_ours(app: Flask, client: FlaskClient) -> None:
    link = uploaded(client)["link"]
    folder = Path(app.config["FILES_URL"])
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("not a folder")
    assert problem_of(upload(client), 503)
    assert client.get(link).status_code in (404, 503)
    folder.unlink()
    folder.with_name("elsewhere").rename(folder)
    assert client.get(link).data == b"a,b\n"
