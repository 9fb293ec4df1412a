"""Statements turned to SQL once, for those that run at every vote.

SQLAlchemy's own way builds a cache key and a result of many layers each time, which costs more
than the statement: about ten of them run for a vote.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect


class Prepared:
    """A statement, and its text for each kind of database it has met.

    Results come as the driver gives them: numbers and text; truth is 0 or 1 in SQLite, and a time
    is only fit to be asked whether it is there.

    Args:
        statement: with named parameters (`bindparam`), of columns that need no conversion when
            read.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._forms: dict[str, _Form] = {}

    def __call__(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Run it with these values for its named parameters."""
        dialect = connection.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self._statement, dialect)
        return connection.exec_driver_sql(form.text, form.parameters(values))


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
