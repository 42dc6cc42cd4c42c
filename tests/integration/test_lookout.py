"""Looks at what lists show: one for all who watch the same, told only when it is something else."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError

from task_app.jobs import lookout as module
from task_app.jobs import service
from task_app.jobs.lookout import Lookout, fingerprint
from task_app.jobs.runtime import runtime
from task_app.jobs.submission import Submission

from ..acceptance.stack import until

PATIENCE = 20.0


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lookout"]


@pytest.fixture
def lookout(app: Flask) -> Iterator[Lookout]:
    with app.app_context():
        yield Lookout(runtime().engine)
        for thread in threads():
            thread.join(PATIENCE)
        assert threads() == [], "the thread lives only while somebody watches"


class Board:
    """Something to look at, and how often it was."""

    def __init__(self) -> None:
        self.shown: Any = "first"
        self.looks: list[float] = []
        self.looked = threading.Event()

    def __call__(self, connection: Connection) -> Any:
        connection.execute(text("SELECT 1"))
        self.looks.append(time.monotonic())
        self.looked.set()
        return self.shown

    def await_looks(self, number: int) -> None:
        seen = len(self.looks)
        until(lambda: len(self.looks) >= seen + number, f"{number} looks")


def test_a_newcomer_sees_at_once_and_then_only_changes(lookout: Lookout) -> None:
    board = Board()
    with lookout.watch("board", board) as watch:
        first = watch.change(None, PATIENCE)
        assert first is not None and (first.shown, first.fingerprint) == ("first", fingerprint("first"))
        assert watch.change(first.fingerprint, 0.1) is None
        with ThreadPoolExecutor(1) as watcher:
            news = watcher.submit(watch.change, first.fingerprint, PATIENCE)
            board.await_looks(2)
            assert not news.done()
            board.shown = "second"
            second = news.result()
        assert second is not None and second.shown == "second"


def test_what_differs_from_what_was_seen_is_told_at_once(lookout: Lookout) -> None:
    with lookout.watch("board", Board()) as watch:
        sight = watch.change("something else", PATIENCE)
        assert sight is not None and sight.shown == "first"
        assert watch.change("something else", 0) is sight


def test_a_hundred_watchers_cost_what_one_costs(lookout: Lookout) -> None:
    board = Board()
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        if threading.current_thread().name == "lookout":
            statements.append(statement)

    with ExitStack() as places, ThreadPoolExecutor(100) as clients:
        watches = [places.enter_context(lookout.watch("board", board)) for _ in range(100)]
        first = list(clients.map(lambda watch: watch.change(None, PATIENCE), watches))
        assert {sight.shown for sight in first if sight} == {"first"}
        event.listen(runtime().engine, "before_cursor_execute", note)
        began, looks = time.monotonic(), len(board.looks)
        waiting = [clients.submit(watch.change, fingerprint("first"), PATIENCE) for watch in watches]
        board.await_looks(5)
        took, looked = time.monotonic() - began, len(board.looks) - looks
        board.shown = "second"
        assert {sight.shown for each in waiting if (sight := each.result())} == {"second"}
        event.remove(runtime().engine, "before_cursor_execute", note)
    assert looked <= took / module.PAUSE + 1, "2.5 looks a second, whoever watches"
    assert len(statements) <= looked + 2, "each of them one statement here, for all hundred"


def test_different_things_are_looked_at_on_one_connection(lookout: Lookout) -> None:
    connections: list[Connection] = []

    def look(connection: Connection) -> Any:
        connections.append(connection)
        return 1

    with lookout.watch("a", look) as a, lookout.watch("b", look) as b:
        assert a.change(None, PATIENCE) and b.change(None, PATIENCE)
        before = len(connections)
        until(lambda: len(connections) >= before + 4, "two rounds")
        assert any(one is other for one, other in pairwise(connections))
        assert len(threads()) == 1


def test_a_newcomer_is_not_shown_what_was_seen_before_it_came(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 60.0)
    board = Board()
    with lookout.watch("board", board) as first:
        assert first.change(None, PATIENCE)
        board.shown = "newer"  # and another process has told a client of it, who comes here now
        with lookout.watch("board", board) as second:
            sight = second.change(fingerprint("newer"), 0.5)
            assert sight is None, "the page would jump back to what it was"
            assert (told := first.change(fingerprint("first"), PATIENCE)) and told.shown == "newer"


def test_costly_looks_make_room_for_others(lookout: Lookout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    board = Board()

    def slow(connection: Connection) -> Any:
        time.sleep(0.1)
        return board(connection)

    with lookout.watch("board", slow) as watch:
        assert watch.change(None, PATIENCE)
        board.await_looks(2)
        pauses = [after - before for before, after in pairwise(board.looks)]
    assert min(pauses) >= 0.1 * (1 + module.REST) * 0.9


def test_a_database_that_is_away_disturbs_nobody(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "AFTER_OUTAGE", 0.05)
    board = Board()
    failures = 3

    def fail(*args: Any) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OperationalError("SELECT", {}, Exception("away"))

    with lookout.watch("board", board) as watch:
        assert watch.change(None, PATIENCE)
        event.listen(runtime().engine, "before_cursor_execute", fail)
        board.shown = "second"
        sight = watch.change(fingerprint("first"), PATIENCE)
        assert sight is not None and sight.shown == "second"
    assert caplog.text.count("no look at") == 3


def test_a_newcomer_during_an_outage_is_shown_what_was_there_before(
    lookout: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AFTER_OUTAGE", 0.05)
    board, away = Board(), threading.Event()

    def look(connection: Connection) -> Any:
        if away.is_set():
            away.clear()
            raise OperationalError("SELECT", {}, Exception("away"))
        return board(connection)

    with lookout.watch("board", look) as first:
        assert first.change(None, PATIENCE)
        away.set()
        with lookout.watch("board", look) as second:
            assert second.change(None, PATIENCE)


def test_a_wrong_look_does_not_blind_the_others(lookout: Lookout, caplog: pytest.LogCaptureFixture) -> None:
    board = Board()

    def wrong(connection: Connection) -> Any:
        raise KeyError("no such thing")

    with lookout.watch("wrong", wrong) as blind, lookout.watch("board", board) as watch:
        assert watch.change(None, PATIENCE)
        board.await_looks(2)
        assert blind.change(None, 0) is None
    assert caplog.text.count("a look failed") == 1


def test_equal_content_has_an_equal_fingerprint_in_every_process(app: Flask) -> None:
    shown = {"b": [("id", 1)], "a": datetime(2030, 1, 31, 12, tzinfo=UTC), "c": None}
    program = (
        "from datetime import UTC, datetime; from task_app.jobs.lookout import fingerprint;"
        "print(fingerprint({'c': None, 'a': datetime(2030, 1, 31, 12, tzinfo=UTC), 'b': (['id', 1],)}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(shown) != fingerprint({**shown, "c": 0})
    with app.app_context():
        job = service.submit(Submission(task="add", args="[1, 2]"))
    assert fingerprint([job]) == fingerprint([(job.id, job.version)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_starts_anew(lookout: Lookout) -> None:
    lookout._runs = True  # as a child sees it: the thread is the parent's
    lookout._pid -= 1
    with lookout.watch("board", Board()) as watch:
        assert watch.change(None, 2.0)
