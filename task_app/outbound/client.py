"""The HTTP client of tasks: httpx on top of connections that were looked at."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from .network import GuardedNetwork, Resolver, resolve

#: Seconds for each step. A server may think before it answers.
TIMEOUTS = httpx.Timeout(30, connect=10)
CONNECTIONS = 4
#: Seconds that an idle connection is kept.
IDLE = 5.0


def http_client(
    config: Mapping[str, Any], *, resolver: Resolver = resolve, inner: httpcore.NetworkBackend | None = None
) -> httpx.Client:
    """Make a client for URLs that somebody has given; the caller closes it. It serves one thread.

    It reads CRAWL_PRIVATE and CRAWL_USER_AGENT of `app.config`. Proxies and passwords of the environment don't count: a
    proxy would connect for us, past the check. It follows no redirects by itself; `fetch_bounded` does. `resolver` and
    `inner` take the place of the system's, below the check.
    """
    network = GuardedNetwork(private=config["CRAWL_PRIVATE"], resolver=resolver, inner=inner)
    return httpx.Client(
        transport=GuardedTransport(network),
        timeout=TIMEOUTS,
        trust_env=False,
        follow_redirects=False,
        # gzip alone: what it expands to can be told as it comes.
        headers={"User-Agent": config["CRAWL_USER_AGENT"], "Accept-Encoding": "gzip"},
    )


class GuardedTransport(httpx.BaseTransport):
    """Carries the requests of an httpx client over a GuardedNetwork. A request's extension `deadline` is obeyed."""

    def __init__(self, network: GuardedNetwork) -> None:
        self._network = network
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(),  # it takes an authority of one's own from SSL_CERT_FILE
            max_connections=CONNECTIONS,
            keepalive_expiry=IDLE,
            network_backend=network,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the response's body is read by whoever asked."""
        self._network.deadline = request.extensions.get("deadline", float("inf"))
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _errors_of_httpx():
            response = self._pool.handle_request(
                httpcore.Request(
                    request.method,
                    url,
                    headers=request.headers.raw,
                    content=request.read(),
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """The body of a response, as it comes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _errors_of_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """Raise httpx' exception in place of httpcore's: the two families have the same names."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__, httpx.TransportError)(str(error)) from error
