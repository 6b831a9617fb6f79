"""Rows exactly as they are stored, for whoever does not trust them."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError

from ledger.booking import Values
from ledger.database import Database
from ledger.store import LedgerError, LedgerUnavailableError

_AT_ONCE = 2_000


class UnreadableError(Exception):
    """The database cannot give what is stored: it is damaged, or not text where text should be."""

    def __init__(self, fault: DBAPIError) -> None:
        super().__init__(str(fault.orig))
        self.fault = fault


@contextmanager
def doubting(database: Database, blame: Callable[[str], None]) -> Generator[Connection]:
    """Connect to one consistent state. What cannot be read in the block, or understood, is blamed.

    Raises LedgerUnavailableError when it cannot be read now.
    """
    try:
        with database.transaction() as connection:
            yield connection
    except LedgerUnavailableError:
        raise
    except LedgerError as fault:
        blame(str(fault))
    except UnreadableError as unreadable:
        meaning = database.explain(unreadable.fault)
        if isinstance(meaning, LedgerUnavailableError):
            raise meaning from unreadable
        blame(f"what is stored cannot be read: {unreadable}")


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
