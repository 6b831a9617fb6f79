"""PostgreSQL, by psycopg: one settle process at a time, any number of readers.

When the server restarts or the network breaks, the connection is lost, and with it whatever was not
committed. The next attempt connects again.
"""

from collections.abc import Mapping

import psycopg
from psycopg.types.numeric import Int8Dumper
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from ledger.store import LedgerError, LedgerUnavailableError

_CONNECTION: Mapping[str, int | str] = {
    "connect_timeout": 5,
    # A server that vanished without a word is noticed within some ten seconds.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "headgate-ledger",
}

_LOCK_TIMEOUT_MS = 500
"""As SQLite's busy timeout: wait shortly for others, then try again."""

_LOCK = 0x68656164
"""First half of the advisory lock; the second is the schema, for there may be two ledgers in one
database. Arbitrary, and the same in every version: "head"."""

_TAKE = text("SELECT pg_try_advisory_lock(CAST(:lock AS integer), hashtext(current_schema()))")
_WAIT = text("SELECT pg_sleep(:seconds)")
_TRIES, _PAUSE_S = 5, 0.1
"""A settle process that was killed leaves its lock until the server notices, which takes
milliseconds on one machine; a successor waits for it."""

_READ_ONLY = "25006"
"""SQLSTATE: the server has become a standby, or its disk is protected."""


def connect(url: URL, *, writes: bool) -> Engine:
    """Prepare connections to the database at `url`; what it says of a connection comes first."""
    theirs = url.query.get("options", "")
    read_only = "" if writes else "-c default_transaction_read_only=on"
    options = f"{theirs} -c lock_timeout={_LOCK_TIMEOUT_MS} {read_only}"
    ours = {name: value for name, value in _CONNECTION.items() if name not in url.query}
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={**ours, "options": options},
        paramstyle="format",  # plain tuples: statements.py
        pool_pre_ping=True,
        # A reader sees one state in all queries of a transaction. A writer waits for others and
        # then sees what they did.
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
    )

    def connected(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # All our numbers are 64 bits wide. psycopg would pick the narrowest type for each value,
        # and the server would plan the same statement for every mix of types.
        assert isinstance(connection, psycopg.Connection)
        connection.adapters.register_dumper(int, Int8Dumper)

    event.listen(engine, "connect", connected)
    return engine


def explain(fault: DBAPIError) -> LedgerError | None:
    """Tell a fault that passes from a mistake of ours."""
    cause = fault.orig
    passing = isinstance(cause, psycopg.OperationalError) or fault.connection_invalidated
    if passing or getattr(cause, "sqlstate", None) == _READ_ONLY:
        return LedgerUnavailableError(str(cause))
    return None


class AdvisoryClaim:
    """A lock in the server, which drops it with the connection that took it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._was_held = False

    def take(self, connection: Connection, /) -> None:
        """Take it for a new connection.

        Raises LedgerError; when we have held it before, LedgerUnavailableError: it may be our own
        lost connection that the server has not missed yet.
        """
        for _ in range(_TRIES):
            if connection.execute(_TAKE, {"lock": _LOCK}).scalar_one():
                self._was_held = True
                return
            connection.execute(_WAIT, {"seconds": _PAUSE_S})
        kind = LedgerUnavailableError if self._was_held else LedgerError
        raise kind(f"{self._name} is being written by another settle process")

    def release(self) -> None:
        """Nothing to do: closing the connection has done it."""
