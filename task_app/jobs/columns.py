"""Column types and SQL functions that mean the same on PostgreSQL, MariaDB/MySQL and SQLite."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, DateTime, Dialect, Integer, String, Text, func
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from . import histogram, packing


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime with microseconds; refuses naive ones.

    MariaDB and SQLite have no time zone in their types, so they keep UTC and get it back on reading.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose a type that keeps microseconds."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sqlite.DATETIME())  # type: ignore[no-untyped-call]
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware datetime into UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: give a time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware UTC datetime."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: Celery's ids are strings of at most 155 characters in its own SQL backend; compared byte by byte everywhere.
JobId = String(155).with_variant(mysql.VARCHAR(155, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")

#: Names that are compared exactly: tasks, queues, workers, tags, states.
Name = String(255).with_variant(mysql.VARCHAR(255, collation="utf8mb4_bin"), "mysql", "mariadb")

#: Ids of files, see `task_app.files`.
FileKey = String(40).with_variant(mysql.VARCHAR(40, charset="ascii", collation="ascii_bin"), "mysql", "mariadb")

#: JSON kept as text, so that exactly what was stored comes back on every database.
LongText = Text().with_variant(mysql.LONGTEXT(collation="utf8mb4_bin"), "mysql", "mariadb")


class PackedText(TypeDecorator[str]):
    """JSON kept as text, a long one compressed (see `packing`): what is read is what was written.

    SQL that looks into such a column sees packed values as they are stored: it can neither search nor join them, and
    must leave them to Python.
    """

    impl = Text
    cache_ok = True

    def __init__(self, column: str) -> None:
        """`column` is for the error of a value that can't be opened."""
        super().__init__()
        self.column = column

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the type of `LongText`."""
        return LongText

    # Not `process_bind_param` and `process_result_value`, which cost one more call for each value.
    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        """Return what writes a value."""
        return packing.pack

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], str | None]:
        """Return what reads a value."""
        return packing.opener(self.column)

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        """What is looked for in such a column is a text, and never packed."""
        return LongText


def is_packed(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Say whether a value is stored packed. Few bytes are read of it, where a search would read all."""
    return func.substr(column, 1, len(packing.MARK)) == packing.MARK


class utc_now(FunctionElement[datetime]):  # noqa: N801 - named like the SQL function it is
    """The database's own clock, in UTC: the one clock that all hosts share."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(utc_now)
def _utc_now(element: utc_now, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(utc_now, "mysql")
@compiles(utc_now, "mariadb")
def _utc_now_mysql(element: utc_now, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "UTC_TIMESTAMP(6)"


@compiles(utc_now, "sqlite")
def _utc_now_sqlite(element: utc_now, compiler: SQLCompiler, **kwargs: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f000', 'now')"


class span_of(FunctionElement[int]):  # noqa: N801 - named like a SQL function
    """In which span of so many seconds a moment lies, counted from 1970: `span_of(column, seconds)`."""

    type = BigInteger()
    inherit_cache = True


def _two(element: FunctionElement[int], compiler: SQLCompiler, options: dict[str, Any]) -> tuple[str, str]:
    one, other = (compiler.process(part, **options) for part in element.clauses)
    return one, other


@compiles(span_of)
def _span(element: span_of, compiler: SQLCompiler, **options: Any) -> str:
    moment, seconds = _two(element, compiler, options)
    # Not EXTRACT, which makes exact numbers, several times slower.
    return f"CAST(floor(date_part('epoch', {moment}) / {seconds}) AS BIGINT)"


@compiles(span_of, "mysql")
@compiles(span_of, "mariadb")
def _span_mysql(element: span_of, compiler: SQLCompiler, **options: Any) -> str:
    moment, seconds = _two(element, compiler, options)
    return f"TIMESTAMPDIFF(SECOND, '1970-01-01', {moment}) DIV {seconds}"


@compiles(span_of, "sqlite")
def _span_sqlite(element: span_of, compiler: SQLCompiler, **options: Any) -> str:
    moment, seconds = _two(element, compiler, options)
    return f"{_whole_seconds(moment)} / {seconds}"


def _whole_seconds(moment: str) -> str:
    """Cut off the fraction, which SQLite would round: moments are texts, 2030-01-31 12:00:00.000000."""
    return f"CAST(strftime('%s', substr({moment}, 1, 19)) AS INTEGER)"


class duration_bucket(FunctionElement[int]):  # noqa: N801 - named like a SQL function
    """The bucket (see `histogram`) of the time from one moment to another; NULL where one of them is."""

    type = Integer()
    inherit_cache = True


def _log_bucket(seconds: str) -> str:
    least, per_e = histogram.LEAST, histogram.PER_E
    return f"(CASE WHEN {seconds} < {least} THEN 0 ELSE floor(ln({seconds} / {least}) * {per_e}) + 1 END)"


@compiles(duration_bucket)
def _bucket(element: duration_bucket, compiler: SQLCompiler, **options: Any) -> str:
    begin, end = _two(element, compiler, options)
    seconds = f"date_part('epoch', {end} - {begin})"
    return f"CAST({_log_bucket(seconds)} AS INTEGER)"


@compiles(duration_bucket, "mysql")
@compiles(duration_bucket, "mariadb")
def _bucket_mysql(element: duration_bucket, compiler: SQLCompiler, **options: Any) -> str:
    begin, end = _two(element, compiler, options)
    seconds = f"(TIMESTAMPDIFF(MICROSECOND, {begin}, {end}) / 1e6)"
    return f"CAST({_log_bucket(seconds)} AS SIGNED)"


@compiles(duration_bucket, "sqlite")
def _bucket_sqlite(element: duration_bucket, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's own functions know milliseconds at best, and not every build of it has logarithms.
    begin, end = _two(element, compiler, options)
    seconds = f"{_whole_seconds(end)} - {_whole_seconds(begin)}"
    return f"duration_bucket({seconds} + (substr({end}, 21) - substr({begin}, 21)) / 1e6)"


class FlushedLater(FunctionElement[bool]):
    """A condition that is always true, and on PostgreSQL lets its transaction commit without waiting for the disk.

    Should the server crash within the next second (three times its `wal_writer_delay`), the write may be forgotten,
    never half of it. `set_config(…, true)` lasts until the end of the transaction, here of the statement. Elsewhere it
    changes nothing.
    """

    type = Boolean()
    inherit_cache = True


@compiles(FlushedLater)
def _flushed_as_usual(element: FlushedLater, compiler: SQLCompiler, **options: Any) -> str:
    return "1 = 1"


@compiles(FlushedLater, "postgresql")
def _flushed_later(element: FlushedLater, compiler: SQLCompiler, **options: Any) -> str:
    return "set_config('synchronous_commit', 'off', true) = 'off'"
