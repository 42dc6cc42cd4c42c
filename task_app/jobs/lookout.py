"""What lists show, looked at for whoever watches: one look serves all who watch the same thing.

The feed is for single jobs; this is for what has no version of its own, such as a page of jobs or the overview.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from .view import JobView

logger = logging.getLogger(__name__)

#: Seconds between two looks at the same thing.
PAUSE = 0.4
#: … and at least so many times as long as the looks took: they may keep a fifth of a thread and a connection busy.
REST = 4
#: … but never more than so many seconds.
LONGEST_PAUSE = 5.0
#: A newcomer is shown something at once, at the cost of one more look at this thing in so many seconds.
NEWCOMERS_PAUSE = 0.05
#: Seconds until the next look after the database did not answer.
AFTER_OUTAGE = 1.0

#: Reads what is shown, in a small form that JSON can write: ids and versions rather than jobs.
Look = Callable[[Connection], Any]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look has seen."""

    shown: Any
    fingerprint: str  # equal for equal content, in every process
    at: float  # when the look began, by the monotonic clock


def fingerprint(shown: Any) -> str:
    """Return a short hash of what is shown, the same in every process and after every restart."""
    text = json.dumps(shown, sort_keys=True, separators=(",", ":"), default=_in_short)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _in_short(value: Any) -> Any:
    """Return for a job what tells that it has changed; other values, such as times, tell it by their text."""
    return [value.id, value.version] if isinstance(value, JobView) else str(value)


@dataclass(slots=True)
class _Watched:
    """A thing that somebody watches."""

    look: Look
    watchers: int = 0
    newcomer_at: float = 0.0  # when the last watcher came
    sight: Sight | None = None
    is_broken: bool = False
    news: threading.Event = field(default_factory=threading.Event)

    def has_newcomer(self) -> bool:
        """Say whether somebody has come since the last look: what was seen before is not news to them."""
        return self.sight is None or self.sight.at < self.newcomer_at


class Watch:
    """One watcher's place; `Lookout.watch` gives it."""

    def __init__(self, watched: _Watched, since: float) -> None:
        self._watched = watched
        self._since = since  # an older sight may be older than what another process has shown to this client

    def change(self, seen: str | None, timeout: float) -> Sight | None:
        """Wait until what is shown has another fingerprint than `seen`; None after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            news = self._watched.news  # before the sight: what comes between the two is told by it
            sight = self._watched.sight
            if sight is not None and sight.at >= self._since and sight.fingerprint != seen:
                return sight
            if not news.wait(max(0.0, deadline - time.monotonic())):
                return None


class Lookout:
    """Looks at all that is watched, in a thread of its own, which lives while there is any. Safe after a fork.

    It costs the statements of each look 2.5 times a second, however many watch, in each process where somebody does.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[Hashable, _Watched] = {}
        self._newcomer = threading.Event()
        self._runs = False
        self._pid = os.getpid()  # last: another thread that sees it takes the lock

    @contextmanager
    def watch(self, key: Hashable, look: Look) -> Iterator[Watch]:
        """Take a place at the window. Equal keys mean the same thing shown: of their looks only one is used."""
        watched, since = self._enter(key, look)
        try:
            yield Watch(watched, since)
        finally:
            self._leave(key, watched)

    def _enter(self, key: Hashable, look: Look) -> tuple[_Watched, float]:
        if self._pid != os.getpid():  # the parent's lock may be held, and its thread is not here
            self._begin()
        with self._lock:
            watched = self._watched.setdefault(key, _Watched(look))
            watched.watchers += 1
            watched.newcomer_at = now = time.monotonic()
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="lookout", daemon=True).start()
        self._newcomer.set()
        return watched, now

    def _leave(self, key: Hashable, watched: _Watched) -> None:
        with self._lock:
            watched.watchers -= 1
            if not watched.watchers and self._watched.get(key) is watched:
                del self._watched[key]

    def _run(self) -> None:
        due_at = 0.0
        while (things := self._things()) is not None:
            began = time.monotonic()
            is_due = began >= due_at
            try:
                self._look_at([watched for watched in things if is_due or watched.has_newcomer()])
            except (OperationalError, InterfaceError, PoolTimeout) as error:
                # Those who watch need not know: when it is back, they see what has changed.
                logger.warning("no look at %d lists: %s", len(things), str(error).splitlines()[0])
                time.sleep(AFTER_OUTAGE)
                continue
            now = time.monotonic()
            if is_due:
                due_at = now + min(LONGEST_PAUSE, max(PAUSE, REST * (now - began)))
            time.sleep(NEWCOMERS_PAUSE)
            self._newcomer.wait(max(0.0, due_at - time.monotonic()))
            self._newcomer.clear()

    def _things(self) -> list[_Watched] | None:
        """Return what is watched; None ends the thread."""
        with self._lock:
            self._runs = bool(self._watched)
            return list(self._watched.values()) or None

    def _look_at(self, things: list[_Watched]) -> None:
        if not things:
            return
        with self._engine.connect() as connection:
            for watched in things:
                sight = _look(watched, connection)
                if sight is None:
                    continue
                is_awaited, before = watched.has_newcomer(), watched.sight
                watched.sight = sight
                if is_awaited or before is None or before.fingerprint != sight.fingerprint:
                    told, watched.news = watched.news, threading.Event()
                    told.set()


def _look(watched: _Watched, connection: Connection) -> Sight | None:
    """Look; None when the look itself is wrong: that must not blind the others."""
    at = time.monotonic()
    try:
        shown = watched.look(connection)
        sight = Sight(shown, fingerprint(shown), at)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        if not watched.is_broken:
            logger.exception("a look failed; those who watch this see no changes")
        watched.is_broken = True
        return None
    watched.is_broken = False
    return sight
