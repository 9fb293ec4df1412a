"""Statements that run at every vote, turned to SQL once.

They go to the driver itself: SQLAlchemy's own way builds a cache key, a context and a result of
many layers each time, which costs more than the statement, and about ten of them run for a vote.
A driver's errors come as they are (see `Database.explaining`).
"""

from __future__ import annotations

import contextlib
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect


class Prepared:
    """A statement, and its text for each kind of database that it has run on.

    Rows come as the driver gives them, named: numbers and text; truth is 0 or 1 in SQLite, and a
    time is only fit to be asked whether it is there.

    Args:
        statement: with named parameters (`bindparam`), of columns that need no conversion when
            read.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        columns: Any = getattr(statement, "exported_columns", ())
        names = [str(column.key) for column in columns]
        self._row: Any = namedtuple("Row", names)  # pyright: ignore[reportUntypedNamedTuple]
        self._forms: dict[str, _Form] = {}

    def __call__(self, connection: Connection, **values: Any) -> Rows:
        """Run it with these values for its named parameters."""
        dialect = connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self._statement, dialect)
        driver: Any = connection.connection.dbapi_connection
        return Rows(driver.execute(form.text, form.parameters(values)), self._row._make)


class Rows:
    """What a statement found; in a pipeline it is waited for when it is asked for."""

    def __init__(self, cursor: Any, make: Callable[[Any], Any]) -> None:
        self._cursor = cursor
        self._make = make

    def all(self) -> list[Any]:
        """Every row."""
        return [self._make(row) for row in self._cursor.fetchall()]

    def first(self) -> Any | None:
        """The first row, where there is one."""
        row = self._cursor.fetchone()
        return None if row is None else self._make(row)


def pipelined(connection: Connection) -> contextlib.AbstractContextManager[Any]:
    """Send prepared statements to a server without waiting for the answers to earlier ones.

    Only asking for rows waits, and leaving waits for what is left. SQLAlchemy's own statements
    can't be used inside. SQLite, which has no way to go, does as always.
    """
    driver: Any = connection.connection.dbapi_connection
    return driver.pipeline() if hasattr(driver, "pipeline") else contextlib.nullcontext()


class _Form:
    """A statement in one dialect."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        self._order: list[str] | None = compiled.positiontup
        self._constants: dict[str, Any] = dict(compiled.params)
        self._conversions: dict[str, Callable[[Any], Any]] = {}
        for bind, name in compiled.bind_names.items():
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if convert is not None:
                self._conversions[name] = convert
                self._constants[name] = convert(self._constants.get(name))

    def parameters(self, values: dict[str, Any]) -> Any:
        """As the driver wants them: in order, or by name."""
        given = self._constants | values
        for name in self._conversions.keys() & values.keys():
            given[name] = self._conversions[name](values[name])
        return given if self._order is None else tuple(given[name] for name in self._order)
