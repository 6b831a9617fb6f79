"""The ledger as one identity may see it. This is the one place that draws the line.

Nothing else here opens the ledger, and the only way to a `Reader` is `Books.scoped`: whatever a
question asks for, what it is answered from is cut down to its identity's rows first.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar, assert_never

from sqlalchemy import ColumnElement, Connection, RowMapping, event, func, select, tuple_
from sqlalchemy.exc import DBAPIError

from ledger.database import Database, open_database
from ledger.question import Condition, Question, UsageError
from ledger.store import LedgerError
from ledger.tables import REQUEST
from ledger.usage import Answer, ask
from ledger.where import hold
from sidecars.common.errors import Code, Refusal
from sidecars.common.identity import Identity
from telemetry.logs import Event, EventLog

DEADLINE_S = 10.0
"""For one question. `extproc.sidecars` lets Envoy wait for longer than this and a turn together."""
STEPS = 20_000
"""Of SQLite's machine between two looks at the clock: less than a millisecond."""
CANCELED = "57014"
"""SQLSTATE of PostgreSQL's statement_timeout."""

NOBODY = ""
"""Stands for a user who is not known: no user's name is empty."""

T = TypeVar("T")
Value = str | int | None

_log = EventLog(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """Single requests wanted: the latest first."""

    since_ms: int
    until_ms: int
    conditions: Sequence[Condition]
    ids: Mapping[str, Sequence[str]]
    """Values of `request_id` and `trace_id`, any of which will do."""
    limit: int
    after: tuple[int, str] | None = None
    """`start_ms` and `settle_key` of the last one that was seen."""


class Books:
    """The ledger at a path or URL, opened when it is first asked and not before: it may not be there
    yet. For any number of threads."""

    def __init__(self, where: str | Path, deadline_s: float = DEADLINE_S) -> None:
        self._where = where
        self._deadline_s = deadline_s
        self._lock = Lock()
        self._database: Database | None = None

    def scoped(self, identity: Identity) -> "Reader":
        return Reader(self._open, identity)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _open(self) -> Database:
        with self._lock:
            if self._database is None:
                self._database = open_database(self._where)
                bound(self._database, self._deadline_s)
            return self._database


class Reader:
    """Made by `Books.scoped` alone. Every method blocks, and raises Refusal when there is no answer."""

    def __init__(self, database: Callable[[], Database], identity: Identity) -> None:
        self._database = database
        self._own = own_rows(identity)
        self.sees_all = not self._own

    def requests(self, wanted: Listing) -> Sequence[Mapping[str, Value]]:
        """List single requests, by their columns."""
        own = [Condition(name, (value,)) for name, value in self._own.items()]
        query = (
            select(REQUEST)
            .where(REQUEST.c.start_ms >= wanted.since_ms, REQUEST.c.start_ms < wanted.until_ms)
            .where(*(REQUEST.c[name].in_(values) for name, values in wanted.ids.items()))
            .order_by(REQUEST.c.start_ms.desc(), REQUEST.c.settle_key.desc())
            .limit(wanted.limit)
        )
        if wanted.after:
            place = tuple_(REQUEST.c.start_ms, REQUEST.c.settle_key)
            query = query.where(REQUEST.c.start_ms <= wanted.after[0], place < wanted.after)

        def find(connection: Connection) -> Sequence[RowMapping]:
            found = holds((*own, *wanted.conditions), connection.dialect.name)
            return connection.execute(query.where(*found)).mappings().all()

        return [{str(name): value for name, value in row.items()} for row in self._ask(find)]

    def usage(self, question: Question) -> Answer:
        """Sum up requests by groups."""
        own = (Condition(name, (value,)) for name, value in self._own.items())
        mine = replace(question, where=(*question.where, *own))
        try:
            return self._ask(lambda connection: ask(connection, mine))
        except UsageError as fault:
            raise Refusal(Code.INVALID_REQUEST, f"{fault}.", "by") from None

    def _ask(self, work: Callable[[Connection], T]) -> T:
        try:
            database = self._database()
            with database.transaction() as connection:
                return work(connection)
        except (LedgerError, DBAPIError) as fault:
            raise explain(fault) from fault


def own_rows(identity: Identity) -> Mapping[str, str]:
    """Say which values rows must have to be this identity's: by column, none for all rows."""
    match identity.scope:
        case "all":
            return {}
        case "tenant":
            return {"tenant": identity.tenant}
        case "project":
            return {"tenant": identity.tenant, "project": identity.project}
        case _:  # pyright: ignore[reportUnnecessaryComparison] - rather no answer than a wide one
            assert_never(identity.scope)


def holds(conditions: Iterable[Condition], dialect: str) -> list[ColumnElement[bool]]:
    """Write conditions on rows of the view `request`, which has the names of people already."""
    found: list[ColumnElement[bool]] = []
    for condition in conditions:
        if condition.dimension != "user":
            found += hold([condition], REQUEST, dialect)
            continue
        # Like any other text: `hold` would look up whom a pseudonym stands for.
        column = func.coalesce(REQUEST.c.user, NOBODY)
        names = [NOBODY if name is None else name for name in condition.values]
        found.append(column.not_in(names) if condition.negated else column.in_(names))
    return found


def bound(database: Database, deadline_s: float) -> None:
    """Let every transaction end by itself when it takes too long."""
    if database.engine.dialect.name == "sqlite":
        event.listen(database.engine, "begin", partial(_bound_sqlite, deadline_s))
    else:
        event.listen(database.engine, "begin", partial(_bound_postgres, deadline_s))


def _bound_sqlite(deadline_s: float, connection: Connection) -> None:
    until = time.monotonic() + deadline_s
    own = connection.connection.driver_connection
    assert isinstance(own, sqlite3.Connection)
    own.set_progress_handler(lambda: time.monotonic() > until, STEPS)


def _bound_postgres(deadline_s: float, connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {round(deadline_s * 1000)}")


def explain(fault: Exception) -> Refusal:
    """Tell a client what a fault means to it, and the operator all of it. Raises what is our bug."""
    origin = fault if isinstance(fault, DBAPIError) else fault.__cause__
    cause = origin.orig if isinstance(origin, DBAPIError) else None
    interrupted = getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT
    if interrupted or getattr(cause, "sqlstate", None) == CANCELED:
        message = (
            "This question takes too long: ask for a shorter period, or filter by fewer things."
        )
        return Refusal(Code.TOO_SLOW, message)
    if isinstance(fault, LedgerError):
        _log.error(Event.LEDGER_FAULT, reason=str(fault))
        message = "The ledger cannot be read at the moment."
        return Refusal(Code.UNAVAILABLE, message, retry_after_s=2)
    raise fault
