"""A worker's parent forks its pool children while its maintenance threads use the database. This keeps the two apart.

A child must not inherit a connection, and with SQLite not even the memory of one: the library keeps, per process,
which locks its connections hold, and a child that inherits a held lock waits for it for ever. So a fork waits until
no thread is inside the gate, closes idle SQLite connections first, and leaves the child empty pools.
"""

import os
import threading
from types import TracebackType
from typing import Self

from flask import Flask
from sqlalchemy import Engine, Pool

from ..extensions import db
from ..jobs.runtime import JobRuntime


class ForkGate:
    """Lets any number of threads in, and a fork only while it is empty. Threads enter it with `with`."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._inside = 0
        self._fork_waits = False
        self._protects = False
        self._engines: list[Engine] = []
        # The parent's pools, in a child. Dropping them would close connections that the parent still uses.
        self._inherited: list[Pool] = []

    def __enter__(self) -> Self:
        with self._condition:
            while self._fork_waits:  # else a busy crew would keep it waiting for ever
                self._condition.wait()
            self._inside += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def protect(self, app: Flask) -> None:
        """Guard the engines of this app at every fork of this process from now on."""
        runtime: JobRuntime = app.extensions["jobs"]
        runtime.marks.at_once()  # its thread would not enter the gate
        with app.app_context():
            self._engines += [runtime.engine, *db.engines.values()]
        if hasattr(os, "register_at_fork") and not self._protects:
            self._protects = True
            os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def _before(self) -> None:
        self._condition.acquire()
        self._fork_waits = True
        while self._inside:
            self._condition.wait()
        for engine in self._engines:
            if engine.dialect.name == "sqlite":
                engine.dispose()

    def _in_parent(self) -> None:
        self._fork_waits = False
        self._condition.notify_all()
        self._condition.release()

    def _in_child(self) -> None:
        self._fork_waits = False
        self._condition.release()
        for engine in self._engines:
            self._inherited.append(engine.pool)
            engine.dispose(close=False)


#: The gate of this process.
gate = ForkGate()
