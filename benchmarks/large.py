"""What does a large argument cost: in the row, on the broker, and in time? With and without packing and the limit.

    .venv/bin/python -m benchmarks.large

Jobs with a megabyte of table rows as their argument are submitted and not run, on each pair of database and broker,
the old way and the new one in turn. Uses the servers of the tests. People put its figures into docs/benchmarks.md.
"""

import json
import os
import random
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from task_app.jobs import packing
from task_app.jobs.runtime import runtime
from tests.acceptance.stack import Stack, running, until

NUMBER = 20
LIMIT = "FLASK_MESSAGE_ARGUMENTS_LIMIT"
SIZES = {
    "sqlite": None,  # the file's
    "postgresql": "SELECT pg_total_relation_size('job')",
    "mysql": "SELECT file_size FROM information_schema.innodb_sys_tablespaces WHERE name = CONCAT(DATABASE(), '/job')",
}


def table(number: int) -> list[dict[str, object]]:
    """Return a megabyte of what people hand over: rows of names and figures."""
    chance = random.Random(number)  # noqa: S311 - rows, no secrets
    return [
        {
            "id": row,
            "name": f"customer {chance.randrange(10**6)}",
            "amount": chance.random() * 1000,
            "paid": row % 3 > 0,
        }
        for row in range(12_500)
    ]


def best(do: Callable[[], object], number: int) -> float:
    """Return the seconds of one call, of the fastest of several rounds."""
    return min(timeit.repeat(do, number=number, repeat=5)) / number


def micro() -> None:
    """Print what one value costs."""
    opened, short = packing.opener("args"), "x" * 200
    print(f"a text of 200 bytes: written {best(lambda: packing.pack(short), 200_000) * 1e9:.0f} ns,", end=" ")
    print(f"read {best(lambda: opened(short), 200_000) * 1e9:.0f} ns")
    long = json.dumps(table(1))
    stored = packing.pack(long)
    print(f"table rows, {len(long)} bytes: {len(stored or '')} in the row,", end=" ")
    print(f"written {best(lambda: packing.pack(long), 5) * 1e3:.1f} ms,", end=" ")
    print(f"read {best(lambda: opened(stored), 5) * 1e3:.1f} ms")


def bytes_of_the_table(stack: Stack) -> int:
    """Return what the jobs take in the database."""
    with stack.app.app_context(), runtime().engine.connect() as connection:
        statement = SIZES[connection.dialect.name]
        if statement is not None:
            return int(connection.execute(text(statement)).scalar_one())
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(connection.engine.url.database or "").stat().st_size


def bytes_on_the_broker(stack: Stack) -> int:
    """Return what its messages take there: in Redis' own account, or the length of what was sent to RabbitMQ."""
    with stack.celery.connection_for_read() as connection:
        channel = connection.default_channel
        if hasattr(channel, "client"):
            keys = channel.client.keys(f"*{stack.queue}*")
            return sum(channel.client.memory_usage(key, samples=0) or 0 for key in keys if b"bind" not in key)
        found = 0
        while (message := channel.basic_get(stack.queue, no_ack=True)) is not None:
            found += len(message.body) + len(json.dumps(message.headers))
        return found


def one_round(database: str, broker: str, *, new: bool) -> str:
    """Submit some jobs; return what a job costs."""
    packing.PACKED_FROM = 16 * 1024 if new else 2**40
    os.environ[LIMIT] = "65536" if new else str(2**31 - 1)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), database, broker) as stack:
        echo, took = stack.task("probe.echo"), []
        echo.delay(1)
        before = bytes_of_the_table(stack)
        for number in range(NUMBER):
            value = table(number)
            begin = time.perf_counter()
            echo.delay(value)
            took.append(time.perf_counter() - begin)
        row = (bytes_of_the_table(stack) - before) / NUMBER
        until(lambda: stack.counts() == {"PENDING": NUMBER + 1}, "all rows")
        message = bytes_on_the_broker(stack) / (NUMBER + 1)
    kept = f"{row / 1000:.0f} KB in the table, {message / 1000:.1f} KB on the broker"
    return f"{kept}, {statistics.median(took) * 1e3:.0f} ms"


if __name__ == "__main__":
    micro()
    for pair in (("sqlite", "embedded"), ("postgresql", "redis"), ("mariadb", "rabbitmq")):
        for new in (False, True):
            print(f"{'+'.join(pair)}, {'new' if new else 'old'}: {one_round(*pair, new=new)}", flush=True)
