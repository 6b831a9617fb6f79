"""Rows exactly as they are stored, for whoever does not trust them."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError

from ledger.booking import Values

_AT_ONCE = 2_000


class UnreadableError(Exception):
    """The database cannot give what is stored: it is damaged, or not text where text should be."""

    def __init__(self, fault: DBAPIError) -> None:
        super().__init__(str(fault.orig))
        self.fault = fault


class Query:
    """A query, compiled once."""

    def __init__(self, query: Select[Any], dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect)
        self._text = str(compiled)
        self._defaults = compiled.params
        self._names: list[str] = getattr(compiled, "positiontup", None) or []

    def stream(self, connection: Connection, **values: int) -> Iterator[Values]:
        """Hand out rows, unconverted, a few at a time. Raises UnreadableError."""
        parameters = {**self._defaults, **values}
        try:
            result = connection.exec_driver_sql(
                self._text,
                tuple(parameters[name] for name in self._names),
                execution_options={"yield_per": _AT_ONCE},
            )
            with closing(result):
                for row in result:
                    yield tuple(row)
        except DBAPIError as fault:
            raise UnreadableError(fault) from fault


def stream(connection: Connection, query: Select[Any]) -> Iterator[Values]:
    """Run a query that is asked once."""
    return Query(query, connection.dialect).stream(connection)
