"""Counts what has ended, for charts: writes the table `rollup`."""

import random
import time
from datetime import datetime, timedelta
from itertools import islice, pairwise

from flask import Flask
from sqlalchemy import Connection, Engine

from ..jobs import lists, queries, rolling
from ..jobs.runtime import runtime
from ..jobs.spans import DAY, KEEP, LONG, MIDDLE, SHORT, SPANS, ceil, floor, kept_since
from ..jobs.tally import Tally

SPAN = timedelta(seconds=SHORT)
#: Each look counts the newest row's span once more, and the one before: jobs say when they end, and commit it later.
AGAIN = 2 * SPAN
#: Whoever is at most so far behind goes on to now in one look; who is further behind, in steps.
NEAR = 6 * SPAN
#: Spans, and jobs, in one step.
SPANS_AT_ONCE = 60
JOBS_AT_ONCE = 30_000
#: Hours and days made of their parts in one step.
ADDED_AT_ONCE = 5
#: Seconds between two steps.
PAUSE_BETWEEN_STEPS = 0.2
#: Seconds that one statement counts when five minutes are counted once more.
SLICE = 30
#: The part of the time that looks may take; where they are dear they come less often, down to once a minute.
SHARE = 0.02
RAREST = 60.0
#: Seconds over which rollers spread after the beginning of a span.
SPREAD = 1.0
#: Added to WORKER_TIMEOUT: what a worker says that was given up for dead is refused, so nothing comes later than that.
PATIENCE = timedelta(seconds=30)


class Roller:
    """Looks every ten seconds. Of several rollers the first to come makes a row, and the others leave it to that one.

    Each look goes on where the newest row ends, however long ago that was; so nobody misses anything, and a roller that
    dies has done no harm. What ended long ago is counted in the spans that are still kept of that time.

    Five minutes are counted once more when no worker can still end a job in them, and added up to one row; these make
    hours, and hours days. What comes later still, from a worker whose clock is that slow, is not counted.
    """

    name = "roller"

    def __init__(self, app: Flask) -> None:
        self.pause: float = SHORT
        keep = [timedelta(days=app.config[f"KEEP_{state}_DAYS"]) for state in ("SUCCESS", "FAILURE", "REVOKED")]
        # Where some states are pruned and others are not, those that are left would look like all.
        self._complete = min([days for days in keep if days] or [KEEP[DAY]])
        self._settles = timedelta(seconds=app.config["WORKER_TIMEOUT"]) + PATIENCE
        self._caught_up: datetime | None = None
        self._took = 0.0
        self._rest = timedelta(0)

    def run(self) -> int:
        """Look, if it is time and nobody else has; return how many rows have changed."""
        begin = time.monotonic()
        with runtime().engine.connect() as connection:
            now = queries.database_time(connection)
        wrote, more = self.roll(now)
        took = time.monotonic() - begin
        if wrote and not more:
            # One look may have waited for others; two in a row are dear.
            self._rest = timedelta(seconds=min(took, self._took, RAREST * SHARE) / SHARE)
            self._took = took
        next_span = SHORT - now.timestamp() % SHORT - took + random.uniform(0, SPREAD)  # noqa: S311 - no secret
        self.pause = max(PAUSE_BETWEEN_STEPS, took) if more else max(0.0, next_span)
        return wrote

    def roll(self, now: datetime) -> tuple[int, bool]:
        """Do one step, if one is due; return how many rows have changed, and whether there is more to do at once."""
        engine = runtime().engine
        with engine.connect() as connection:
            until = rolling.counted_until(connection, SHORT)
            if until is not None and now - until < max(self._rest - SPAN, timedelta(0)):
                return 0, False
            for seconds, shorter in ((LONG, MIDDLE), (MIDDLE, SHORT)):
                wrote = self._count_history(engine, connection, seconds, shorter, now)
                if wrote is not None:
                    return wrote + self._add_up(engine, connection, now), True
            if until is None or now - until > NEAR:
                wrote, more = self._catch_up(engine, connection, until, now)
            else:
                wrote, more = self._go_on(engine, connection, until, now), False
            if wrote:
                wrote += self._add_up(engine, connection, now)
                for seconds in SPANS:
                    rolling.prune(connection, seconds, now)
        return wrote, more

    def _go_on(self, engine: Engine, connection: Connection, until: datetime, now: datetime) -> int:
        """Count up to now, and see what waits, if nobody else does."""
        current = floor(now, SHORT)
        if not rolling.claim(connection, SHORT, current):
            return 0
        rows = rolling.count_ended(connection, SHORT, until - AGAIN, current + SPAN)
        for key, seen in rolling.of_depths(lists.depths(connection, now), current, now).items():
            rows.setdefault(key, Tally()).add(seen)
        return rolling.write(engine, SHORT, rows)

    def _catch_up(
        self, engine: Engine, connection: Connection, until: datetime | None, now: datetime
    ) -> tuple[int, bool]:
        """Count a step of what ended while nobody looked; say whether there is more."""
        start = self._start(connection, SHORT, now) or floor(now, SHORT)
        if start == until and until != self._caught_up:
            start -= AGAIN
        end = self._end(connection, start, max(start, until or start) + SPAN, SHORT, floor(now, SHORT) + SPAN)
        wrote = _count(engine, connection, SHORT, start, end)
        self._caught_up = end
        return wrote, end <= now

    def _count_history(
        self, engine: Engine, connection: Connection, seconds: int, shorter: int, now: datetime
    ) -> int | None:
        """Count a step of what ended so long ago that no shorter spans are kept of it; None if there is nothing."""
        horizon = kept_since(shorter, now)
        start = self._start(connection, seconds, now)
        if start is None or start >= horizon:
            return None
        end = self._end(connection, start, start + timedelta(seconds=seconds), seconds, horizon)
        # What was counted before everybody stopped: it knows of depths, and of jobs that were deleted since.
        wrote = _add_up(engine, connection, seconds, shorter, start, end)
        return wrote + _count(engine, connection, seconds, start, end)

    def _start(self, connection: Connection, seconds: int, now: datetime) -> datetime | None:
        """Return where counting in these spans goes on, or begins; None where there is nothing to count."""
        kept = kept_since(DAY if seconds == LONG else seconds, now)  # days are made of hours
        reliable = max(kept, ceil(now - self._complete, seconds))
        for span in SPANS[SPANS.index(seconds) :]:
            until = rolling.counted_until(connection, span)
            if until is not None:
                return max(until, reliable)
        first = rolling.first_end(connection, reliable)
        return None if first is None else floor(first, seconds)

    def _end(self, connection: Connection, start: datetime, least: datetime, seconds: int, most: datetime) -> datetime:
        """Return where a step ends: after so many spans or jobs."""
        most = min(most, start + SPANS_AT_ONCE * timedelta(seconds=seconds))
        enough = rolling.end_after(connection, start, most, JOBS_AT_ONCE)
        return most if enough is None else max(least, floor(enough, seconds))

    def _add_up(self, engine: Engine, connection: Connection, now: datetime) -> int:
        """Make the next rows of longer spans, as far as these are over for good."""
        wrote = 0
        for shorter, seconds in pairwise(SPANS):
            until = rolling.counted_until(connection, seconds) or rolling.LONG_AGO
            first = rolling.first_row(connection, shorter, until)
            over = now - self._settles if shorter == SHORT else rolling.counted_until(connection, shorter)
            if first is None or over is None:
                continue
            length = timedelta(seconds=seconds)
            most = 1 if shorter == SHORT else ADDED_AT_ONCE
            for start in islice(rolling.beginnings(floor(first, seconds), floor(over, seconds), seconds), most):
                for piece in rolling.beginnings(start, start + length, SLICE) if shorter == SHORT else ():
                    wrote += _count(engine, connection, SHORT, piece, piece + timedelta(seconds=SLICE))
                wrote += _add_up(engine, connection, seconds, shorter, start, start + length)
        return wrote


def _count(engine: Engine, connection: Connection, seconds: int, start: datetime, end: datetime) -> int:
    return rolling.write(engine, seconds, rolling.count_ended(connection, seconds, start, end))


def _add_up(engine: Engine, connection: Connection, seconds: int, shorter: int, start: datetime, end: datetime) -> int:
    return rolling.write(engine, seconds, rolling.add_up(rolling.stored(connection, shorter, start, end), seconds))
