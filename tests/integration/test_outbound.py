"""Reading URLs that others give: which addresses are connected to, for how long, and how much is read."""

import gzip
import io
import resource
import time
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from task_app.errors import AddressRefused, BadResponse, NotReached, ResponseTooLarge
from task_app.outbound import fetch_bounded, http_client

from ..certificates import certificate_for
from ..website import Detour, Website, answer, redirect, silent_port, website

CLOSED = {"CRAWL_PRIVATE": False, "CRAWL_USER_AGENT": "tester/1"}
OPEN = CLOSED | {"CRAWL_PRIVATE": True}
PUBLIC = "93.184.215.14"
MIB = 1024 * 1024


@pytest.fixture
def site() -> Iterator[Website]:
    with website() as site:
        yield site


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that may read from this machine."""
    with http_client(OPEN) as client:
        yield client


def chunked(handler: BaseHTTPRequestHandler, **headers: str) -> None:
    handler.send_response(200)
    for name, value in ({"Transfer-Encoding": "chunked"} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def chunk(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


# -- which addresses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_closed_however_it_is_written(site: Website, host: str) -> None:
    with http_client(CLOSED) as client, pytest.raises(AddressRefused):
        fetch_bounded(client, site.url("/", host), MIB)
    assert site.asked == []


def test_a_name_with_one_closed_address_is_closed(site: Website) -> None:
    network = Detour({PUBLIC: site.port})
    with (
        http_client(CLOSED, resolver=lambda *_: [PUBLIC, "10.0.0.1"], inner=network) as client,
        pytest.raises(AddressRefused, match=r"example\.test leads to 10\.0\.0\.1"),
    ):
        fetch_bounded(client, "http://example.test/", MIB)
    assert network.connected == []


def test_the_address_that_was_looked_at_is_the_one_connected_to(site: Website) -> None:
    site.pages["/"] = "hello"
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    network = Detour({PUBLIC: site.port, "127.0.0.1": site.port})
    with http_client(CLOSED, resolver=lambda *_: next(answers), inner=network) as client:
        assert fetch_bounded(client, "http://example.test/", MIB).body == b"hello"
        assert network.connected == [(PUBLIC, 80)]
        assert site.headers[0]["host"] == "example.test"
    with http_client(CLOSED, resolver=lambda *_: next(answers), inner=network) as client, pytest.raises(AddressRefused):
        fetch_bounded(client, "http://example.test/", MIB)
    assert network.connected == [(PUBLIC, 80)]


def test_a_redirect_leads_to_no_closed_address(site: Website) -> None:
    site.pages["/"] = redirect("http://inside.test/secret")
    names = {"example.test": [PUBLIC], "inside.test": ["169.254.169.254"]}
    network = Detour({PUBLIC: site.port})
    with (
        http_client(CLOSED, resolver=lambda host, _: names[host], inner=network) as client,
        pytest.raises(AddressRefused, match=r"inside\.test"),
    ):
        fetch_bounded(client, "http://example.test/", MIB)
    assert site.asked == ["/"]


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.0.0.1:22/", "http://[x/"]
)
def test_a_redirect_leads_to_no_other_protocol(site: Website, client: httpx.Client, target: str) -> None:
    site.pages["/"] = redirect(target)
    with pytest.raises(AddressRefused):
        fetch_bounded(client, site.url(), MIB)


def test_a_client_that_is_used_as_it_is_is_guarded_as_well(site: Website) -> None:
    with http_client(CLOSED, inner=Detour({})) as client:
        for url in (site.url(), f"http://{PUBLIC}:25/"):
            with pytest.raises(AddressRefused):
                client.get(url)
    assert site.asked == []


def test_metadata_stay_closed_on_an_intranet() -> None:
    with http_client(OPEN) as client, pytest.raises(AddressRefused):
        fetch_bounded(client, "http://169.254.169.254/latest/meta-data/", MIB)


def test_a_proxy_of_the_environment_is_not_used(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, site.url())
    with http_client(CLOSED, resolver=lambda *_: ["10.0.0.1"]) as client, pytest.raises(AddressRefused):
        fetch_bounded(client, "http://example.test/", MIB)
    assert site.asked == []


def test_the_next_address_is_tried(site: Website) -> None:
    site.pages["/"] = "hello"
    network = Detour({"2606:4700::1": 1, PUBLIC: site.port})
    with http_client(CLOSED, resolver=lambda *_: ["2606:4700::1", PUBLIC], inner=network) as client:
        assert fetch_bounded(client, "http://example.test/", MIB).body == b"hello"


def test_a_name_without_address_may_have_one_later() -> None:
    with http_client(OPEN) as client, pytest.raises(NotReached, match="no address"):
        fetch_bounded(client, "http://nobody.invalid/", MIB)


def test_certificates_are_checked_against_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(certificate_for("example.test", tmp_path / "certificate.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", file)
    network = Detour({PUBLIC: 0})
    with website(file) as site:
        network.leads = {PUBLIC: site.port}
        site.pages["/"] = "hello"
        with http_client(CLOSED, resolver=lambda *_: [PUBLIC], inner=network) as client:
            assert fetch_bounded(client, "https://example.test/", MIB).body == b"hello"
            with pytest.raises(BadResponse, match=r"not valid for 'other\.test'"):
                fetch_bounded(client, "https://other.test/", MIB)


# -- how much ----------------------------------------------------------------------------------------------------


def test_a_page_is_read(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = redirect("/there")
    site.pages["/there"] = "x" * 1000
    got = fetch_bounded(client, site.url(), 1000)
    assert (got.url, got.status, got.body, got.size, got.is_whole) == (site.url("/there"), 200, b"x" * 1000, 1000, True)
    assert site.headers[0]["user-agent"] == "tester/1"
    assert fetch_bounded(client, site.url("/missing"), MIB).status == 404


def endless(handler: BaseHTTPRequestHandler) -> None:
    chunked(handler)
    while True:
        chunk(handler, b"x" * 65536)


def bomb(handler: BaseHTTPRequestHandler) -> None:
    packer, nothing = zlib.compressobj(9, wbits=31), bytes(MIB)
    packed = b"".join(packer.compress(nothing) for _ in range(200)) + packer.flush()
    answer(handler, packed, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize("page", [endless, bomb])
def test_no_more_than_the_limit_is_read(site: Website, client: httpx.Client, page: Any) -> None:
    site.pages["/"] = page
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ResponseTooLarge, match="more than the 1048576 bytes allowed"):
        fetch_bounded(client, site.url(), MIB)
    got = fetch_bounded(client, site.url(), MIB, cut=True)
    assert (got.size, got.is_whole) == (MIB, False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_an_announced_length_is_believed(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = lambda handler: answer(handler, headers={"Content-Length": str(10**15)})
    with pytest.raises(ResponseTooLarge):
        fetch_bounded(client, site.url(), MIB)


def test_bytes_go_where_they_are_wanted(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = "x" * 300_000
    file, seen = io.BytesIO(), list[tuple[int, int | None]]()
    got = fetch_bounded(client, site.url(), MIB, into=file, on_progress=lambda *step: seen.append(step))
    assert (got.body, got.size, len(file.getvalue())) == (b"", 300_000, 300_000)
    assert seen[-1] == (300_000, 300_000)


def test_compressed_pages(site: Website, client: httpx.Client) -> None:
    site.pages["/twice"] = lambda handler: answer(
        handler, gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0\0", headers={"Content-Encoding": "gzip"}
    )
    site.pages["/none"] = lambda handler: answer(handler, headers={"Content-Encoding": "gzip"})
    assert fetch_bounded(client, site.url("/twice"), MIB).body == b"one two"
    assert fetch_bounded(client, site.url("/none"), MIB).body == b""


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"not compressed"), ("gzip", gzip.compress(b"x" * 999)[:-9])],
    ids=[
        "an encoding nobody asked for",
        "two encodings",
        "not compressed",
        "cut off",
    ],  # not what gzip writes: the time
)
def test_what_cannot_be_decompressed_is_an_error(
    site: Website, client: httpx.Client, encoding: str, body: bytes
) -> None:
    site.pages["/"] = lambda handler: answer(handler, body, headers={"Content-Encoding": encoding})
    with pytest.raises(BadResponse):
        fetch_bounded(client, site.url(), MIB)


def test_a_body_nobody_wants_is_not_read(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = endless
    assert fetch_bounded(client, site.url(), MIB, wants_body=lambda _: False).size == 0


# -- how long ----------------------------------------------------------------------------------------------------


def drip_headers(site: Website) -> Any:
    def page(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not site.is_over.wait(0.05):
            handler.wfile.write(b"x")

    return page


def drip_body(site: Website) -> Any:
    def page(handler: BaseHTTPRequestHandler) -> None:
        chunked(handler)
        while not site.is_over.wait(0.05):
            chunk(handler, b"x")

    return page


def go_on(site: Website) -> Any:
    def page(handler: BaseHTTPRequestHandler) -> None:
        while not site.is_over.wait(0.05):
            handler.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")

    return page


@pytest.mark.parametrize("slow", [drip_headers, drip_body, go_on])
def test_a_server_that_drips_is_left(site: Website, client: httpx.Client, slow: Any) -> None:
    site.pages["/"] = slow(site)
    began = time.monotonic()
    with pytest.raises(NotReached, match=r"too long altogether|timed out"):
        fetch_bounded(client, site.url(), MIB, seconds=1)
    assert time.monotonic() - began < 5


def test_a_server_that_says_nothing_is_left(client: httpx.Client) -> None:
    listener, port = silent_port()
    with listener, pytest.raises(NotReached):
        fetch_bounded(client, f"http://127.0.0.1:{port}/", MIB, seconds=0.5)


def test_the_time_is_for_all_redirects_together(site: Website, client: httpx.Client) -> None:
    def slowly(handler: BaseHTTPRequestHandler) -> None:
        site.is_over.wait(0.4)
        answer(handler, status=302, headers={"Location": "/"})

    site.pages["/"] = slowly
    with pytest.raises(NotReached):
        fetch_bounded(client, site.url(), MIB, seconds=1, redirects=100)
    assert len(site.asked) <= 3


def test_redirects_without_end(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = redirect("/")
    with pytest.raises(BadResponse, match="more than 5 times"):
        fetch_bounded(client, site.url(), MIB)
    assert len(site.asked) == 6


def test_redirects_need_not_be_followed(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = redirect("/a#part", 301)
    got = fetch_bounded(client, site.url(), MIB, redirects=0)
    assert (got.status, got.redirects_to, site.asked) == (301, site.url("/a"), ["/"])


def test_a_connection_that_breaks_may_hold_next_time(site: Website, client: httpx.Client) -> None:
    def hang_up(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, b"half", headers={"Content-Length": "8"})
        handler.close_connection = True

    site.pages["/"] = hang_up
    with pytest.raises(NotReached):
        fetch_bounded(client, site.url(), MIB)


def test_what_is_no_http_is_an_error(site: Website, client: httpx.Client) -> None:
    def greet(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n" + b"x" * 1000)

    site.pages["/"] = greet
    with pytest.raises(NotReached):
        fetch_bounded(client, site.url(), MIB)


def test_cookies_are_not_kept(site: Website, client: httpx.Client) -> None:
    site.pages["/"] = lambda handler: answer(handler, headers={"Set-Cookie": "a=b"})
    fetch_bounded(client, site.url(), MIB)
    fetch_bounded(client, site.url(), MIB)
    assert "cookie" not in site.headers[1]


def test_the_deadline_holds_for_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = str(certificate_for("localhost", tmp_path / "certificate.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", file)
    listener, port = silent_port()
    began = time.monotonic()
    with listener, http_client(OPEN) as client, pytest.raises(NotReached):
        fetch_bounded(client, f"https://localhost:{port}/", MIB, seconds=0.5)
    assert time.monotonic() - began < 5
    with website(file) as site, http_client(OPEN) as client:
        site.pages["/"] = drip_body(site)
        with pytest.raises(NotReached):
            fetch_bounded(client, site.url("/", "localhost"), MIB, seconds=0.5)
