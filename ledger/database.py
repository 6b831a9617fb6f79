"""A database that holds a ledger: where it is, how it is connected to, and what its faults mean.

sqlite:////var/lib/headgate/ledger.sqlite     or just the path
postgresql://user:password@host/name          by psycopg
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ledger import sqlite
from ledger.schema import check
from ledger.store import LedgerError


class Claim(Protocol):
    """What keeps a second settle process out."""

    def take(self, connection: Connection, /) -> None:
        """Hold on to the ledger, for as long as this connection lasts or longer.

        Cheap when it is held already. Raises LedgerError when somebody else holds it.
        """
        ...

    def release(self) -> None: ...


class Postgres(Protocol):
    """The module `ledger.postgres`."""

    def connect(self, url: URL, /, *, writes: bool) -> Engine: ...
    def explain(self, fault: DBAPIError, /) -> LedgerError | None: ...
    def AdvisoryClaim(self, name: str, /) -> Claim: ...  # noqa: N802 - a class there


def load_postgres() -> Postgres:
    """Import it only for who needs it: with psycopg it costs 0.15 s of CPU in every process."""
    return cast("Postgres", import_module("ledger.postgres"))


@dataclass(frozen=True, slots=True)
class Database:
    """Connections to one ledger; from any thread, each connection in one at a time."""

    engine: Engine
    name: str
    """Where it is, without passwords."""
    claim: Claim
    explain: Callable[[DBAPIError], LedgerError | None]
    """Tell what a fault means, if it is none of ours."""

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Connect for one transaction; it is committed at the end of the block.

        What is read is one consistent state. Raises LedgerError.
        """
        with self.faults(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def faults(self) -> Generator[None]:
        """Turn the database's faults into ours; a mistake of ours stays what it is."""
        try:
            yield
        except DBAPIError as fault:
            meaning = self.explain(fault)
            if meaning is None:
                raise
            raise meaning from fault

    def close(self) -> None:
        self.engine.dispose()


def open_database(where: str | Path, *, writes: bool = False) -> Database:
    """Find the ledger at `where`. Raises LedgerError.

    Reads only, unless `writes`; then a transaction keeps other writers out from its beginning.
    """
    database = find_database(where, writes=writes)
    try:
        with database.transaction() as connection:
            check(connection, database.name)
    except BaseException:
        database.close()
        raise
    return database


def new_database(where: str | Path) -> Database:
    """Like `open_database`, for a writer who brings the schema along: nothing need be there."""
    return find_database(where, writes=True)


def find_database(where: str | Path, *, writes: bool) -> Database:
    """Prepare connections, whatever is there. Raises LedgerError."""
    try:
        url = (
            make_url(str(where))
            if "://" in str(where)
            else URL.create("sqlite", database=str(where))
        )
    except ArgumentError as fault:
        raise LedgerError(f"{where} is neither a path nor a database URL") from fault
    name = url.render_as_string(hide_password=True)
    match url.get_backend_name():
        case "sqlite" if url.database:
            path = Path(url.database)
            engine = sqlite.connect(path, writes=writes)
            return Database(engine, str(path), sqlite.FileClaim(path), sqlite.explain)
        case "postgresql":
            postgres = load_postgres()
            engine = postgres.connect(url, writes=writes)
            return Database(engine, name, postgres.AdvisoryClaim(name), postgres.explain)
        case _:
            raise LedgerError(f"{name}: a ledger is kept in sqlite:///path or postgresql://...")
