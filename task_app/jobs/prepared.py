"""Statements whose text is written once for each kind of database: what is left of each run is filling in.

SQLAlchemy caches the text of a statement too, but finding it there and making a context for it takes as long as the
driver takes to run it. Errors, events and the pool are SQLAlchemy's as ever (`exec_driver_sql`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.expression import ClauseElement

Processor = Callable[[Any], Any]


class Prepared:
    """A statement for single sets of parameters; lists that expand (`IN`) are not for it."""

    def __init__(self, statement: ClauseElement, columns: Sequence[str] | None = None) -> None:
        """`columns` names the columns of an INSERT."""
        self._statement = statement
        self._columns = columns
        self._texts: dict[str, _Text] = {}

    def run(self, connection: Connection, params: dict[str, Any]) -> int:
        """Run it in this connection; return how many rows it has touched. Raises what `Connection.execute` would."""
        name = connection.dialect.name
        text = self._texts.get(name)
        if text is None:
            text = self._texts[name] = _Text(self._statement, connection.dialect, self._columns)
        return connection.exec_driver_sql(text.sql, text.fill(params)).rowcount


class _Text:
    """The statement as one kind of database takes it."""

    def __init__(self, statement: ClauseElement, dialect: Dialect, columns: Sequence[str] | None) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise ValueError("a list that expands can't be prepared")
        self.sql = str(compiled)
        self._construct: Callable[[dict[str, Any]], dict[str, Any]] = compiled.construct_params
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        processors = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for bind, name in compiled.bind_names.items()
        }
        self._processors: dict[str, Processor] = {name: found for name, found in processors.items() if found}

    def fill(self, params: dict[str, Any]) -> Any:
        """Return the parameters as the driver wants them."""
        values = self._construct(params)
        for name, process in self._processors.items():
            values[name] = process(values[name])
        return values if self._order is None else tuple(values[name] for name in self._order)
