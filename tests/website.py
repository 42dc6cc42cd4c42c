"""A real web server of a test, whose pages are what the test says."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpcore

#: What a path answers: the text of a page, or whatever a function does with the connection.
Page = str | bytes | Callable[[BaseHTTPRequestHandler], None]


def answer(
    handler: BaseHTTPRequestHandler,
    body: bytes = b"",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Answer a request, with the length unless the headers say otherwise."""
    handler.send_response(status)
    for name, value in ({"Content-Type": "text/html", "Content-Length": str(len(body))} | dict(headers or {})).items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def redirect(target: str, status: int = 302) -> Page:
    """Return a page that leads elsewhere."""
    return lambda handler: answer(handler, status=status, headers={"Location": target})


def status(number: int) -> Page:
    """Return a page that answers with this status."""
    return lambda handler: answer(handler, f"<title>{number}</title>".encode(), number)


class Website:
    """What is served, and what was asked for."""

    def __init__(self, port: int, scheme: str = "http") -> None:
        self.port = port
        self.scheme = scheme
        self.pages: dict[str, Page] = {}
        self.asked: list[str] = []
        self.asked_at: list[float] = []
        self.headers: list[dict[str, str]] = []
        #: Set at the end, for pages that never end by themselves.
        self.is_over = threading.Event()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"{self.scheme}://{host}:{self.port}{path}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Serve one request."""
        self.asked.append(handler.path)
        self.asked_at.append(time.monotonic())
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        page = self.pages.get(handler.path)
        if page is None:
            answer(handler, b"nothing here", 404, {"Content-Type": "text/plain"})
        elif callable(page):
            page(handler)
        else:
            answer(handler, page.encode() if isinstance(page, str) else page)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of these tests hang up in the middle."""


@contextmanager
def website(certificate: str | None = None) -> Iterator[Website]:
    """Serve pages on a free port of this machine; with the file of a certificate, over TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site = Website(server.server_port, "https" if certificate else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Detour(httpcore.SyncBackend):
    """A network in which some addresses lead to servers of the test; nothing else can be reached."""

    def __init__(self, leads: Mapping[str, int]) -> None:
        self.leads = leads
        self.connected: list[tuple[str, int]] = []

    def connect_tcp(self, host: str, port: int, *more: object, **options: object) -> httpcore.NetworkStream:
        """Connect to the server that stands for an address."""
        self.connected.append((host, port))
        if host not in self.leads:
            raise httpcore.ConnectError(f"nothing at {host}")
        return super().connect_tcp("127.0.0.1", self.leads[host], timeout=10)


def silent_port() -> tuple[socket.socket, int]:
    """Return a socket that accepts connections and never says a word, and its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, int(listener.getsockname()[1])
