"""One crawl, page after page."""

import json
import time
from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from ...errors import AddressRefused, BadResponse, NotReached, ResponseTooLarge
from ...mirror.progress import raise_if_cancelled, report_progress
from ...outbound import Fetched, fetch_bounded
from . import page
from .manners import ROBOTS_BYTES, Forbidden, Manners

PAGE_BYTES = 1024 * 1024
PAGE_SECONDS = 30.0
REDIRECTS = 5
#: Links of a page that are kept in the result, and URLs that are remembered to be read.
LINKS_KEPT = 200
URLS_KNOWN = 10_000
#: Seconds between looks at whether somebody has cancelled.
NAP = 0.2
#: Of the result's limit, what is left for all that isn't pages.
ROOM = 1000
#: Answers that may be others tomorrow.
PASSING = (429, 500, 502, 503, 504)

Entry = dict[str, Any]


class TimeIsUp(Exception):
    """The crawl has taken as long as it may."""


class Crawler:
    """Reads pages, breadth first, each once. It serves one crawl."""

    def __init__(self, client: httpx.Client, config: Mapping[str, Any], *, same_host: bool, max_seconds: float) -> None:
        self._client = client
        self._same_host = same_host
        self._deadline = time.monotonic() + max_seconds
        self._room: int = config["JOB_RESULT_LIMIT"] - ROOM
        self._manners = Manners(
            agent=config["CRAWL_USER_AGENT"], rate=config["CRAWL_RATE"], read_robots=self._read_robots, wait=self._wait
        )
        self._hosts: set[str | None] = set()
        self._known: set[str] = set()
        self._waiting: deque[str] = deque()

    def run(self, url: str, max_pages: int) -> dict[str, Any]:
        """Read pages from this one on; return what was found.

        Raises what `fetch_bounded` raises if the first page can't be read.
        """
        start = page.normalise(url)
        if start is None:
            raise AddressRefused(f"{url[:200]}: no URL of the web")
        self._hosts.add(urlsplit(start).hostname)
        self._add([start])
        pages: list[Entry] = []
        stopped = None
        while self._waiting and stopped is None:
            report_progress(len(pages), max_pages, self._waiting[0])
            try:
                self._wait(0)
                entry = self._visit(self._waiting.popleft(), is_start=not pages)
            except TimeIsUp:
                stopped = "max_seconds"
                continue
            if not self._fit(entry):
                stopped = "result_limit"
                continue
            pages.append(entry)
            if len(pages) >= max_pages and self._waiting:
                stopped = "max_pages"
        report_progress(len(pages), max_pages, "done")
        return {"pages": pages, "urls_known": len(self._known), "stopped": stopped}

    def _visit(self, url: str, *, is_start: bool) -> Entry:
        entry: Entry = {"url": url, "status": None, "title": None, "links": [], "link_count": 0, "error": None}
        try:
            fetched = self._fetch(url, is_start=is_start)
            entry |= {"status": fetched.status}
            if fetched.url != url:
                entry["redirected_to"] = fetched.url
            found = page.read(fetched) if fetched.body else None
        except (AddressRefused, BadResponse, NotReached, ResponseTooLarge) as error:
            if is_start:
                raise
            entry["error"] = str(error)[:500]
        except Forbidden as error:
            entry["error"] = str(error)[:500]
        else:
            if found is not None:
                self._add(found.links)
                entry |= {"title": found.title, "links": found.links[:LINKS_KEPT], "link_count": len(found.links)}
        return entry

    def _fetch(self, url: str, *, is_start: bool) -> Fetched:
        """Read a page, through redirects, each of which is looked at as if it were a link."""
        for _ in range(REDIRECTS + 1):
            self._manners.enter(url)
            fetched = fetch_bounded(
                self._client,
                url,
                PAGE_BYTES,
                seconds=min(PAGE_SECONDS, self._seconds_left()),
                redirects=0,
                wants_body=page.is_html,
                on_progress=lambda *_: raise_if_cancelled(),
            )
            if fetched.status in (429, 503):
                self._manners.slow_down(url)
            if is_start and fetched.status in PASSING:
                raise NotReached(f"{url}: answers {fetched.status}")
            if fetched.redirects_to is None:
                return fetched
            url = self._redirected(fetched.redirects_to, is_start=is_start)
        raise BadResponse(f"{url}: redirected more than {REDIRECTS} times")

    def _redirected(self, target: str, *, is_start: bool) -> str:
        """Return the URL that a redirect leads to. Raises Forbidden when it isn't to be read, or not again."""
        url = page.normalise(target)
        if url is None:
            raise AddressRefused(f"redirects to what is no URL of the web: {target[:200]}")
        if is_start:
            self._hosts.add(urlsplit(url).hostname)  # whoever begins at example.com means www.example.com as well
        if not self._is_wanted(url):
            raise Forbidden(f"redirects to another host: {url}")
        if url in self._known:
            raise Forbidden(f"redirects to a page that is known already: {url}")
        self._known.add(url)
        return url

    def _add(self, urls: list[str]) -> None:
        for url in urls:
            if url not in self._known and len(self._known) < URLS_KNOWN and self._is_wanted(url):
                self._known.add(url)
                self._waiting.append(url)

    def _is_wanted(self, url: str) -> bool:
        return not self._same_host or urlsplit(url).hostname in self._hosts

    def _fit(self, entry: Entry) -> bool:
        """Leave the links out where the result would become too large. False if even the rest has no room."""
        if len(json.dumps(entry)) > self._room:
            entry["links"] = []
        self._room -= len(json.dumps(entry)) + 2
        return self._room >= 0

    def _read_robots(self, url: str) -> Fetched:
        return fetch_bounded(
            self._client,
            url,
            ROBOTS_BYTES,
            seconds=min(PAGE_SECONDS, self._seconds_left()),
            cut=True,
            on_progress=lambda *_: raise_if_cancelled(),
        )

    def _seconds_left(self) -> float:
        return self._deadline - time.monotonic()

    def _wait(self, seconds: float) -> None:
        """Sleep, and listen for a cancel. Raises TimeIsUp when the crawl may not last that long."""
        until = time.monotonic() + seconds
        if until >= self._deadline:
            raise TimeIsUp
        while True:
            raise_if_cancelled()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(NAP, left))
