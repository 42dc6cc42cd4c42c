"""Many rows at once, the fastest way that each database has."""

from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import Connection, TableClause, insert
from sqlalchemy.exc import IntegrityError

from .columns import PackedText
from .packing import pack
from .prepared import Prepared

#: From this many rows on PostgreSQL's COPY is worth its own round trips.
MANY = 20


def insert_many(connection: Connection, table: TableClause, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows that all have the same columns. Raises `sqlalchemy.exc.IntegrityError` when a key is taken."""
    if connection.dialect.name == "postgresql" and len(rows) >= MANY:
        _copy(connection, table, rows)
    elif len(rows) == 1:
        _one(table, tuple(rows[0])).run(connection, rows[0])
    else:
        connection.execute(insert(table), list(rows))


@cache
def _one(table: TableClause, columns: tuple[str, ...]) -> Prepared:
    return Prepared(insert(table), columns)


def _copy(connection: Connection, table: TableClause, rows: Sequence[dict[str, Any]]) -> None:
    columns = list(rows[0])
    # COPY knows no types of SQLAlchemy; of ours only this one changes what the driver would write.
    written = [(name, pack if isinstance(table.c[name].type, PackedText) else _plain) for name in columns]
    statement = f"COPY {table.name} ({', '.join(columns)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([write(row[name]) for name, write in written])
    except connection.dialect.loaded_dbapi.IntegrityError as error:
        raise IntegrityError(statement, None, error) from error


def _plain(value: Any) -> Any:
    # The driver would write the name of an enumeration's member.
    return value.value if isinstance(value, Enum) else value
