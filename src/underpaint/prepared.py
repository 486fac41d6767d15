"""Statements that every request runs: compiled once, and given straight to the database's driver.

What SQLAlchemy does around a statement takes longer than SQLite takes to run it, and comes to the same each time
(docs/decisions/025). Transactions stay SQLAlchemy's, and other statements may be part of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ClauseElement, Connection, Dialect
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    sql: str
    constants: Mapping[str, Any]
    """Values that stand in the statement itself."""
    converters: Mapping[str, Callable[[Any], Any]]
    """What makes of some values what the driver takes."""
    places: tuple[str, ...] | None
    """Names of the values in the order in which the driver takes them; None where it takes them by name."""


class PreparedStatement:
    """One such statement.

    Args:
        statement: an insert, or any statement whose values are bound parameters, of a fixed number.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._by_dialect: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Any]) -> DBAPICursor:
        """Run it in the transaction of a connection.

        Args:
            connection: of either database.
            values: of all bound parameters; of an insert those of its columns, always of the same ones. Columns that
                have a default in Python need a value, too: that is SQLAlchemy's doing, and not the database's.

        Returns:
            The driver's cursor, which has the rows as tuples.

        Raises:
            DBAPIError: what the driver raised, as SQLAlchemy names it.
        """
        dialect = connection.dialect
        compiled = self._by_dialect.get(dialect.name)
        if compiled is None:
            compiled = self._by_dialect[dialect.name] = self._compile(dialect, values)
        given = {**compiled.constants, **values}
        for name, convert in compiled.converters.items():
            given[name] = convert(given[name])
        parameters = given if compiled.places is None else tuple(map(given.__getitem__, compiled.places))
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.sql, parameters)
        except dialect.loaded_dbapi.Error as failure:
            raise DBAPIError.instance(
                compiled.sql, parameters, failure, dialect.loaded_dbapi.Error, dialect=dialect
            ) from failure
        return cursor

    def _compile(self, dialect: Dialect, values: Mapping[str, Any]) -> _Compiled:
        compiled = self._statement.compile(dialect=dialect, column_keys=list(values))
        assert isinstance(compiled, SQLCompiler)
        converters = {
            name: bound.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bound in compiled.binds.items()
        }
        return _Compiled(
            sql=compiled.string,
            constants={name: bound.value for name, bound in compiled.binds.items() if not bound.required},
            converters={name: convert for name, convert in converters.items() if convert is not None},
            places=None if compiled.positiontup is None else tuple(compiled.positiontup),
        )


Statement = tuple[PreparedStatement, Mapping[str, Any]]
"""A statement and its values, for a transaction of somebody else's."""
