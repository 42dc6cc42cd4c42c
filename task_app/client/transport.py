"""Requests to the service: what of them is tried again, and for how long."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from .errors import JobsError, NoAnswer, Unavailable, problem_of

#: Seconds until the first retry at most; each further one may take twice as long, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
#: A server that asks for more than so many seconds of patience is not waited for.
LONGEST_RETRY_AFTER = 60.0
#: Answers that may be others soon.
PASSING = (429, 502, 503, 504)
#: Errors before anything of the request was sent, and such as no other try would mend.
UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
#: Seconds that the service may take to store a file once it has all of it.
STORING = 60.0
#: Seconds without a byte until an event stream is given up for dead; the service breaks silence every 5 s.
SILENCE = 15.0


class Transport:
    """Sends requests that may safely be carried out twice, and so sends them again when there is no answer."""

    def __init__(self, url: str, key: str | None, *, timeout: float, retries: int, patience: float) -> None:
        self.timeout = timeout
        self.retries = retries
        self.patience = patience
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        try:
            self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout)
        except httpx.InvalidURL as error:
            raise ValueError(f"not the address of a service: {error}") from None
        if self._client.base_url.scheme not in ("http", "https") or not self._client.base_url.host:
            raise ValueError("not the address of a service: it begins with http:// or https:// and names a host")
        self._url = self._client.base_url.copy_with(userinfo=b"")  # for people

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        read_timeout: float | None = None,
        retries: int | None = None,
    ) -> Any:
        """Return the JSON of the answer. Raises Problem, or NoAnswer after all retries."""
        timeout = httpx.Timeout(self.timeout, read=read_timeout or self.timeout)

        def send() -> httpx.Response:
            return self._client.request(method, path, json=json, params=params, timeout=timeout)

        return self._until_answered(send, self.retries if retries is None else retries)

    def upload(self, path: str, file: Path, name: str, kind: str | None) -> Any:
        """Send a file, read as it goes; return the JSON of the answer. Raises Problem and NoAnswer, and OSError."""
        timeout = httpx.Timeout(self.timeout, read=max(self.timeout, STORING))

        def send() -> httpx.Response:
            with file.open("rb") as stream:
                part = (name, stream, kind) if kind else (name, stream)
                return self._client.request("POST", path, files={"file": part}, timeout=timeout)

        return self._until_answered(send, self.retries)

    def download(self, path: str, take: Callable[[Iterator[bytes], httpx.Headers], None]) -> None:
        """Let `take` have the bytes of an answer, from the beginning at each try. Raises Problem and NoAnswer."""

        def send() -> httpx.Response:
            with self._client.stream("GET", path) as response:
                if response.status_code == 200:
                    take(response.iter_bytes(), response.headers)
                    return httpx.Response(204)
                response.read()
                return response

        self._until_answered(send, self.retries)

    def _until_answered(self, send: Callable[[], httpx.Response], retries: int) -> Any:
        is_repeated = False
        for tries in range(retries + 1):
            try:
                response = send()
            except httpx.TransportError as error:
                if tries == retries or isinstance(error, HOPELESS):
                    raise self._no_answer(error) from error
                pause = 0.0
                is_repeated = is_repeated or not isinstance(error, UNSENT)
            else:
                pause = _retry_after(response)
                if response.status_code not in PASSING or tries == retries or pause > LONGEST_RETRY_AFTER:
                    return _document(response, is_repeated)
                is_repeated = True
            time.sleep(max(pause, backoff(tries)))
        raise AssertionError("the last try returns or raises")

    @contextmanager
    def stream(self, path: str, last_event_id: str) -> Iterator[httpx.Response]:
        """Open an event stream, once. Raises Problem and NoAnswer, also while it is read."""
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        timeout = httpx.Timeout(self.timeout, read=SILENCE)
        try:
            with self._client.stream("GET", path, headers=headers, timeout=timeout) as response:
                if response.status_code != 200:
                    response.read()
                    _document(response)
                yield response
        except httpx.TransportError as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: httpx.TransportError) -> NoAnswer:
        return NoAnswer(f"{self._url} does not answer: {str(error) or type(error).__name__}")


class Patience:
    """How long a service that is away is waited for."""

    def __init__(self, seconds: float, deadline: float = float("inf")) -> None:
        self._seconds = seconds
        self._deadline = deadline  # by the monotonic clock; no pause goes beyond it
        self._lost_at: float | None = None
        self._tries = 0

    def found(self) -> None:
        """Begin anew: it is there."""
        self._lost_at, self._tries = None, 0

    def lost(self, error: NoAnswer | Unavailable) -> None:
        """Pause before the next try; raise the error if it has been away for too long."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        if now - self._lost_at > self._seconds:
            raise error
        pause = max(backoff(self._tries), error.retry_after if isinstance(error, Unavailable) else 0.0)
        time.sleep(max(0.0, min(pause, self._deadline - now)))
        self._tries += 1


def backoff(tries: int) -> float:
    """Return the seconds until the next try; by chance, so that many clients don't come back together."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


def _retry_after(response: httpx.Response) -> float:
    """Return how many seconds the service asks us to wait; it may name a time instead."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def _document(response: httpx.Response, is_repeated: bool = False) -> Any:
    """Return the JSON of a good answer; raise the Problem of another."""
    if response.status_code == 204:
        return None
    try:
        document = response.json()
    except ValueError:
        document = None
    if response.is_success:
        if document is None:
            raise JobsError(f"{response.url} does not answer in JSON; is this the address of the service?")
        return document
    if not isinstance(document, dict):
        document = {"title": response.reason_phrase, "detail": response.text[:200] or None}
    problem = problem_of(response.status_code, document)
    problem.is_repeated, problem.retry_after = is_repeated, _retry_after(response)
    raise problem
