"""One GET within limits of time and bytes, with redirects that somebody may look at."""

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import httpx

from ..errors import AddressRefused, BadResponse, NotReached, ResponseTooLarge
from .places import check_url

REDIRECTS = 5
#: Bytes that are decompressed at once.
PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a server has answered."""

    url: str  # after redirects
    status: int
    headers: httpx.Headers
    body: bytes  # empty when it was written elsewhere, or not asked for
    size: int  # bytes of the body, decompressed
    is_whole: bool  # False: there was more than the limit
    redirects_to: str | None  # only where no redirect was to be followed


def fetch_bounded(
    client: httpx.Client,
    url: str,
    limit: int,
    *,
    seconds: float = 30,
    into: BinaryIO | None = None,
    cut: bool = False,
    redirects: int = REDIRECTS,
    wants_body: Callable[[httpx.Response], bool] | None = None,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> Fetched:
    """GET a URL with a client of `http_client`. Statuses such as 404 are answers like any other.

    `limit` counts the body's bytes as they are after decompression; no more than that is ever held or written. Beyond
    it the rest is left where it is: that is an error, or with `cut` the end. `seconds` are for all of it together, each
    redirect included; with 0 `redirects`, a redirect is an answer like any other. `into` takes the bytes instead of
    `Fetched.body`. `wants_body` sees the response and may do without its body. `on_progress` is called as the body
    comes, with the bytes so far and their number if it is known; it may raise.

    Raises AddressRefused, BadResponse and ResponseTooLarge, which would be the same next time, and NotReached, which
    might not.
    """
    deadline = time.monotonic() + seconds
    for _ in range(redirects + 1):
        check_url(url)
        client.cookies.clear()
        try:
            request = client.build_request("GET", url, extensions={"deadline": deadline})
            response = client.send(request, stream=True)
            try:
                target = _target(response)
                if target is None or redirects == 0:
                    wanted = target is None and (wants_body is None or wants_body(response))
                    return (
                        _read(response, limit, into, cut, on_progress) if wanted else _fetched(response, target=target)
                    )
            finally:
                response.close()
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise NotReached(f"{url}: {str(error) or type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise BadResponse(f"{url}: {str(error) or type(error).__name__}") from error
        url = target
    raise BadResponse(f"{url}: redirected more than {redirects} times")


def _target(response: httpx.Response) -> str | None:
    """Return where a response redirects to; None if it doesn't."""
    if not response.has_redirect_location:
        return None
    try:
        return str(response.url.join(response.headers["Location"]).copy_with(fragment=None))
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused(f"{response.url}: redirects to what is no URL") from error


def _read(
    response: httpx.Response,
    limit: int,
    into: BinaryIO | None,
    cut: bool,
    on_progress: Callable[[int, int | None], None] | None,
) -> Fetched:
    announced = _announced(response)
    if announced is not None and announced > limit and not cut:
        raise ResponseTooLarge(f"{response.url}: {announced} bytes are more than the {limit} allowed")
    kept, size = bytearray(), 0
    for piece in _pieces(response):
        room = limit - size
        taken = piece[:room]
        size += len(taken)
        if into is None:
            kept += taken
        else:
            into.write(taken)
        if len(piece) > room:
            if not cut:
                raise ResponseTooLarge(f"{response.url}: more than the {limit} bytes allowed")
            return _fetched(response, bytes(kept), size, is_whole=False)
        if on_progress is not None:
            on_progress(size, announced)
    return _fetched(response, bytes(kept), size)


def _fetched(
    response: httpx.Response, body: bytes = b"", size: int = 0, *, is_whole: bool = True, target: str | None = None
) -> Fetched:
    return Fetched(str(response.url), response.status_code, response.headers, body, size, is_whole, target)


def _announced(response: httpx.Response) -> int | None:
    """Return the length that the server names, unless it is that of something compressed."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and "Content-Encoding" not in response.headers else None


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return response.iter_raw()
    if encoding in ("gzip", "x-gzip"):
        return _gunzipped(response.iter_raw(), str(response.url))
    raise BadResponse(f"{response.url}: encoded as {encoding[:40]!r}, which was not asked for")


def _gunzipped(chunks: Iterable[bytes], url: str) -> Iterator[bytes]:
    """Decompress in small pieces: a few bytes may stand for very many."""
    decoder, has_begun = _gunzip(), False
    try:
        for chunk in chunks:
            data, has_begun = chunk, True
            while data:
                if decoder.eof:
                    if not data.startswith(b"\x1f\x8b"):
                        return  # padding
                    decoder = _gunzip()
                yield decoder.decompress(data, PIECE)
                data = decoder.unused_data or decoder.unconsumed_tail
        yield decoder.flush()
    except zlib.error as error:
        raise BadResponse(f"{url}: can't be decompressed") from error
    if has_begun and not decoder.eof:
        raise BadResponse(f"{url}: ends in the middle of what is compressed")


def _gunzip() -> "zlib._Decompress":
    return zlib.decompressobj(wbits=31)
