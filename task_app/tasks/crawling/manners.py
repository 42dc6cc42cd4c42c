"""What hosts ask of those who crawl them: their robots.txt, and not to be asked too often."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from ...errors import AddressRefused, BadResponse, NotReached, TaskAppError
from ...outbound import Fetched

#: Bytes of a robots.txt that are read; the standard asks for 500 KiB at least.
ROBOTS_BYTES = 512 * 1024
#: Names of crawlers times lines: the parser keeps a rule for each of both. 100 kB could take a gigabyte.
RULES = 500_000
#: Hosts that are remembered.
HOSTS = 200
#: How much longer the pauses become when a host says that it is too much.
SLOWER = 2.0


class Forbidden(Exception):
    """Nobody may read this page, or not this crawl; the text says why."""


@dataclass(slots=True)
class _Host:
    interval: float
    free_at: float = 0.0
    rules: Protego | None = None
    problem: TaskAppError | None = None  # why robots.txt could not be read


class Manners:
    """Remembers hosts for one crawl. `read_robots` fetches a robots.txt; `wait` sleeps, or raises to end the crawl."""

    def __init__(
        self, *, agent: str, rate: float, read_robots: Callable[[str], Fetched], wait: Callable[[float], None]
    ) -> None:
        self._agent = agent.strip().partition("/")[0].partition(" ")[0] or "*"
        self._interval = 1 / rate
        self._read_robots = read_robots
        self._wait = wait
        self._hosts: dict[str, _Host] = {}

    def enter(self, url: str) -> None:
        """Wait until this URL may be read. Raises Forbidden, or what kept robots.txt from being read."""
        host = self._host_of(url)
        if host.problem is not None:
            raise type(host.problem)(f"robots.txt can't be read: {host.problem}")
        if host.rules is not None and not host.rules.can_fetch(url, self._agent):
            raise Forbidden("robots.txt forbids it")
        self._take_turn(host)

    def slow_down(self, url: str) -> None:
        """Ask the host of this URL less often from now on."""
        host = self._host_of(url)
        host.interval *= SLOWER
        host.free_at = time.monotonic() + host.interval

    def _host_of(self, url: str) -> _Host:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        host = self._hosts.get(origin)
        if host is None:
            if len(self._hosts) >= HOSTS:
                del self._hosts[next(iter(self._hosts))]
            host = self._hosts[origin] = _Host(self._interval)
            self._learn_rules(host, f"{origin}/robots.txt")
        return host

    def _learn_rules(self, host: _Host, url: str) -> None:
        """Read robots.txt. One that isn't there allows everything; one that can't be read, nothing."""
        self._take_turn(host)
        try:
            found = self._read_robots(url)
        except (AddressRefused, BadResponse, NotReached) as error:
            host.problem = error
            return
        if found.status == 429 or found.status >= 500:
            host.problem = NotReached(f"{url}: answers {found.status}")
        elif found.status < 300:
            text = found.body.decode("utf-8-sig", errors="replace")
            if text.lower().count("agent") * len(text.splitlines()) > RULES:
                host.problem = BadResponse(f"{url}: has too many rules for too many crawlers")
                return
            host.rules = Protego.parse(text)
            host.interval = max(host.interval, self._asked_interval(host.rules))

    def _asked_interval(self, rules: Protego) -> float:
        delay, rate = rules.crawl_delay(self._agent), rules.request_rate(self._agent)
        by_rate = rate.seconds / rate.requests if rate is not None and rate.requests else 0.0
        return max(delay or 0.0, by_rate)

    def _take_turn(self, host: _Host) -> None:
        self._wait(host.free_at - time.monotonic())
        host.free_at = time.monotonic() + host.interval
