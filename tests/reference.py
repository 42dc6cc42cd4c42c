"""What must happen to jobs, in plain Python: written from the invariants in `docs`, never from the SQL.

`Reference` has the moves of `task_app.jobs.transitions` by the same names and with the same arguments, without the
connection, so that one call can drive both. It keeps whole rows: whatever a move forgets or touches besides shows.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from task_app.jobs.models import Job
from task_app.jobs.states import State
from task_app.jobs.transitions import HISTORY_LIMIT

Row = dict[str, Any]
Rows = dict[str, Row]
Condition = Callable[[Row], bool]


def waits(row: Row) -> bool:
    """No worker has the job."""
    return row["state"] in {"PENDING", "RETRY"}


def has_ended(row: Row) -> bool:
    """Only a person or client may move it again."""
    return row["state"] in {"SUCCESS", "FAILURE", "REVOKED"}


def has_failed(row: Row) -> bool:
    """It has ended with an error."""
    return bool(row["state"] == "FAILURE")


def runs(row: Row) -> bool:
    """A worker has the job; tasks name running states as they like."""
    return not waits(row) and not has_ended(row)


def is_open(row: Row) -> bool:
    """It has no outcome yet."""
    return not has_ended(row)


def is_wanted(row: Row) -> bool:
    """Nobody has asked to cancel it."""
    return row["cancel_requested_at"] is None


def has_alarm(row: Row) -> bool:
    """A dispatcher will look at it."""
    return row["dispatch_at"] is not None


def is_published(row: Row) -> bool:
    """The broker has its message, as far as anybody knows."""
    return row["published_at"] is not None


def is_blocked(row: Row) -> bool:
    """It waits for other jobs."""
    return row["blocked_by"] is not None


def is_held(row: Row) -> bool:
    """Somebody sees to it that this job goes on, or nothing is left to do (invariant 5)."""
    if runs(row):
        return row["worker_id"] is not None
    return has_ended(row) or has_alarm(row) or is_published(row) or is_blocked(row)


def history_of(row: Row) -> list[int]:
    """The attempts that the history tells of, in its order."""
    return [json.loads(line)["attempt"] for line in (row["history"] or "").splitlines()]


class Reference:
    """All jobs as they must be. A move returns whether it is legal, and is made only then."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self._unjoined: set[str] = set()  # chords that still need the results of their parts

    # -- how a move is made --------------------------------------------------------------------------------------

    def _find(self, job_id: str, attempt: int | None, *conditions: Condition) -> Row | None:
        row = self.rows.get(job_id)
        if row is None or attempt not in {None, row["attempt"]}:
            return None
        return row if all(holds(row) for holds in conditions) else None

    @staticmethod
    def _move(row: Row | None, **changes: Any) -> bool:
        if row is None:
            return False
        row.update(changes, version=row["version"] + 1)
        return True

    def _end(self, row: Row | None, state: State, error: dict[str, Any], children: str | None, now: datetime) -> bool:
        return self._move(
            row, state=state, children=children, finished_at=now, dispatch_at=None, blocked_by=None, **_error(error)
        )

    def _wait_again(self, row: Row | None, state: State, wake_at: datetime, **changes: Any) -> bool:
        if row is None:
            return False
        nothing_left = dict.fromkeys(
            ("progress", "worker", "worker_id", "started_at", "published_at", "publish_error", "blocked_by")
        )
        return self._move(row, state=state, attempt=row["attempt"] + 1, dispatch_at=wake_at, **(nothing_left | changes))

    @staticmethod
    def _told_of(row: Row | None, line: str) -> dict[str, Any]:
        """The history with one more line; the old ones give way when there is no room."""
        if row is None:
            return {}
        before = row["history"] or ""
        return {"history": line if len(before) > HISTORY_LIMIT else before + line}

    # -- accepting and publishing --------------------------------------------------------------------------------

    def insert_jobs(self, rows: Sequence[Row]) -> None:
        """Each row as given; what it doesn't say is NULL."""
        empty = dict.fromkeys(Job.__table__.c.keys())
        self.rows.update({row["id"]: empty | row for row in rows})

    def mark_published(self, jobs: Iterable[tuple[str, int]], now: datetime) -> int:
        """Only news about the attempt that waits to be sent."""
        rows = [self._find(job_id, attempt, waits, has_alarm) for job_id, attempt in jobs]
        return sum(self._move(row, published_at=now, dispatch_at=None, publish_error=None) for row in rows)

    def mark_publish_failed(self, jobs: Iterable[tuple[str, int]], reason: str, again_at: datetime) -> None:
        """Only news about the attempt that waits to be sent."""
        for job_id, attempt in jobs:
            row = self._find(job_id, attempt, waits, has_alarm)
            self._move(row, dispatch_at=again_at, publish_error=reason)

    def give_back_lease(self, jobs: Iterable[tuple[str, int, datetime | None]], reason: str) -> None:
        """They wait from when they did; only news about the attempt that waits to be sent."""
        for job_id, attempt, was_at in jobs:
            row = self._find(job_id, attempt, waits, has_alarm)
            self._move(row, dispatch_at=was_at, publish_error=reason)

    def lease_for_dispatch(self, jobs: Iterable[tuple[str, int]], until: datetime) -> None:
        """Not worth a version: nothing that anybody sees has changed."""
        for job_id, attempt in jobs:
            row = self._find(job_id, attempt, waits, has_alarm)
            if row is not None:
                row["dispatch_at"] = until

    def publish_again(self, job_id: str, attempt: int, now: datetime) -> bool:
        """Only what was published can have been lost."""
        return self._move(self._find(job_id, attempt, waits, is_published), published_at=None, dispatch_at=now)

    # -- running -------------------------------------------------------------------------------------------------

    def claim(self, job_id: str, attempt: int, *, worker: str | None, worker_id: str | None, now: datetime) -> bool:
        """One worker per attempt, before its time is over; a claim proves that there was a message."""
        row = self._find(job_id, attempt, waits, lambda row: row["expires_at"] is None or now < row["expires_at"])
        return self._move(
            row,
            state=State.STARTED,
            worker=worker,
            worker_id=worker_id,
            started_at=now,
            published_at=now if row is None or row["published_at"] is None else row["published_at"],
            **dict.fromkeys(("dispatch_at", "publish_error", "blocked_by")),
        )

    def report(self, job_id: str, attempt: int, *, state: str, meta: str | None) -> bool:
        """The refusal tells a task that it was cancelled."""
        return self._move(self._find(job_id, attempt, runs, is_wanted), state=state, progress=meta)

    def succeed(self, job_id: str, attempt: int, *, result: str | None, children: str | None, now: datetime) -> bool:
        """A result that is there wins over a cancel that was asked for."""
        return self._move(
            self._find(job_id, attempt, runs),
            state=State.SUCCESS,
            result=result,
            children=children,
            finished_at=now,
            **dict.fromkeys(("error", "error_type", "dispatch_at", "blocked_by")),
        )

    def end_badly(
        self,
        job_id: str,
        attempt: int | None,
        *,
        state: State,
        error: dict[str, Any],
        children: str | None = None,
        now: datetime,
    ) -> bool:
        """Whatever is open may end."""
        return self._end(self._find(job_id, attempt, is_open), state, error, children, now)

    def expire(self, job_id: str, attempt: int, *, error: dict[str, Any], now: datetime) -> bool:
        """Only while it waits, and only when its time is over."""
        row = self._find(job_id, attempt, waits, lambda row: row["expires_at"] is not None and row["expires_at"] < now)
        return self._end(row, State.REVOKED, error, None, now)

    def end_blocked(self, job_id: str, *, state: State, error: dict[str, Any], now: datetime) -> bool:
        """What it waits for will never come."""
        return self._end(self._find(job_id, None, waits, is_blocked), state, error, None, now)

    # -- going round again ---------------------------------------------------------------------------------------

    def requeue(
        self,
        job_id: str,
        attempt: int,
        *,
        values: dict[str, Any],
        error: dict[str, Any],
        line: str,
        wake_at: datetime,
    ) -> bool:
        """A cancel that was asked for ends the going round."""
        row = self._find(job_id, attempt, runs, is_wanted)
        history = self._told_of(row, line)
        return self._wait_again(row, State.RETRY, wake_at, **values, **_error(error), **history)

    def block(self, job_id: str, attempt: int, *, reason: str, line: str, wake_at: datetime) -> bool:
        """A cancel that was asked for ends the going round."""
        row = self._find(job_id, attempt, runs, is_wanted)
        history = self._told_of(row, line)
        return self._wait_again(row, State.PENDING, wake_at, blocked_by=reason, **history)

    def clear_alarm(self, job_id: str, attempt: int) -> bool:
        """Only a blocked job can do without."""
        return self._move(self._find(job_id, attempt, waits, is_blocked), dispatch_at=None)

    def unblock(self, job_id: str, *, values: dict[str, Any], wake_at: datetime) -> bool:
        """Once: then it isn't blocked any more."""
        return self._move(self._find(job_id, None, waits, is_blocked), blocked_by=None, dispatch_at=wake_at, **values)

    def rescue(
        self,
        job_id: str,
        attempt: int,
        *,
        error: dict[str, Any],
        line: str,
        counted: bool = True,
        wake_at: datetime,
    ) -> bool:
        """A cancel that was asked for ends the going round."""
        row = self._find(job_id, attempt, runs, is_wanted)
        rescues = 0 if row is None else row["rescues"] + counted
        history = self._told_of(row, line)
        return self._wait_again(row, State.RETRY, wake_at, rescues=rescues, **_error(error), **history)

    def run_again(self, job_id: str, attempt: int, *, args: str, kwargs: str, line: str, wake_at: datetime) -> bool:
        """As a new job, with its history."""
        row = self._find(job_id, attempt, has_ended)
        gone = ("due_at", "expires_at", "finished_at", "cancel_requested_at", "result", "children")
        fresh = dict.fromkeys((*gone, "error", "error_type", "resolved_at")) | {
            "retries": 0,
            "rescues": 0,
            "forgotten": False,
        }
        history = self._told_of(row, line)
        return self._wait_again(row, State.PENDING, wake_at, args=args, kwargs=kwargs, **(fresh | history))

    # -- cancelling, forgetting, deleting ------------------------------------------------------------------------

    def cancel_waiting(self, job_id: str, *, error: dict[str, Any], now: datetime) -> bool:
        """At once and for good."""
        return self._end(self._find(job_id, None, waits), State.REVOKED, error, None, now)

    def cancel_running(self, job_id: str, *, now: datetime) -> bool:
        """Asked once; the first moment stands."""
        return self._move(self._find(job_id, None, runs, is_wanted), cancel_requested_at=now)

    def resolve(self, job_id: str, *, now: datetime) -> bool:
        """Failures alone; the first moment stands."""
        row = self._find(job_id, None, has_failed, lambda row: row["resolved_at"] is None)
        return self._move(row, resolved_at=now)

    def unresolve(self, job_id: str) -> bool:
        """Only what was resolved."""
        row = self._find(job_id, None, has_failed, lambda row: row["resolved_at"] is not None)
        return self._move(row, resolved_at=None)

    def forget(self, job_id: str) -> bool:
        """The outcome stays."""
        return self._move(self._find(job_id, None, has_ended), result=None, children=None, forgotten=True)

    def delete_ended(self, job_id: str) -> bool:
        """Not while a chord needs it."""
        row = self._find(job_id, None, has_ended, lambda row: row["group_id"] not in self._unjoined)
        if row is None:
            return False
        del self.rows[job_id]
        return True

    def set_unjoined(self, group_id: str, unjoined: bool) -> None:
        """Say whether a chord still needs the results of its parts."""
        if unjoined:
            self._unjoined.add(group_id)
        else:
            self._unjoined.discard(group_id)


def _error(error: dict[str, Any]) -> dict[str, Any]:
    return {"error": json.dumps(error), "error_type": error["type"]}
