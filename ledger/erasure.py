"""Erasing a person: the name goes, sums and proof stay.

Entries name a pseudonym, and one row says who that is. Without it they are about nobody. That it was
erased, when and by whom is written down in the table `erasure`, and in a file beside the roots, so
that a backup made before can be made to forget as well. It stands in no chain: a chain proves what
was used, and is written by the settle process alone, while a person is erased by whoever is asked to.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from ledger import subjects
from ledger.booking import Person
from ledger.chain import chain_of
from ledger.database import Database
from ledger.patience import patiently
from ledger.sighting import Departure, Renewal
from ledger.store import LedgerUnavailableError
from ledger.tables import ERASURE, LEDGER, OPEN_REQUEST, SUBJECT

FILE_NAME = "ledger-erasures.jsonl"

_decode_seen = msgspec.json.Decoder(Departure | Renewal).decode
_encode = msgspec.json.Encoder().encode


class Erasure(msgspec.Struct, frozen=True):
    """One person less. Columns of the table, and members in the file."""

    pseudonym: str
    tenant: str
    at_ms: int
    by: str


def erase(database: Database, person: Person, by: str, now_ms: int) -> Erasure | None:
    """Forget who a person's pseudonym stands for; None when there is none. Raises LedgerError."""

    def run() -> Erasure | None:
        with database.transaction() as connection:
            pseudonym = subjects.find(connection, {person}).get(person)
            if pseudonym is None:
                return None
            subjects.erase(connection, *person)
            erasure = Erasure(pseudonym, person[0], now_ms, by)
            connection.execute(insert(ERASURE).values(msgspec.structs.asdict(erasure)))
            return erasure

    return patiently(run)


def count_running(database: Database, person: Person) -> int:
    """Count requests of this person that have not ended: they bring the name back."""
    with database.transaction() as connection:
        found = list(connection.execute(select(OPEN_REQUEST.c.seen)).scalars())
    origins = (_decode_seen(seen).origin for seen in found)
    return sum((chain_of(each.tenant), each.user) == person for each in origins)


def keep_file(database: Database, file: Path) -> None:
    """Write down in the file what only the table says, and anew what a full disk cut off there.

    Raises LedgerError, OSError, and ValueError for any other file.
    """
    _cut_torn(file)
    known = {erasure.pseudonym for erasure in read_file(file)}
    with database.transaction() as connection:
        rows = connection.execute(select(ERASURE).order_by(ERASURE.c.at_ms))
        missing = [Erasure(*row) for row in rows if row[0] not in known]
    with file.open("ab") as lines:
        lines.writelines(_encode(erasure) + b"\n" for erasure in missing)


def _cut_torn(file: Path) -> None:
    """Take off the beginning of a line that has no end."""
    if file.exists():
        with file.open("r+b") as lines:
            lines.truncate(lines.read().rfind(b"\n") + 1)


def read_file(file: Path) -> list[Erasure]:
    """Read what was erased, if anything was. Raises OSError, and ValueError for any other file."""
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Erasure) for line in file.read_bytes().splitlines()]


def erase_again(database: Database, erasures: Iterable[Erasure]) -> int:
    """Let a ledger from a backup forget who was erased since; returns how many it still knew."""
    with database.transaction() as connection:
        known = set(connection.execute(select(ERASURE.c.pseudonym)).scalars())
        missing = {each.pseudonym: each for each in erasures if each.pseudonym not in known}
        if not missing:
            return 0
        connection.execute(update(LEDGER).values(erasures=LEDGER.c.erasures + 1))
        connection.execute(insert(ERASURE), [msgspec.structs.asdict(e) for e in missing.values()])
        gone = (
            connection.execute(delete(SUBJECT).where(SUBJECT.c.pseudonym == pseudonym)).rowcount
            for pseudonym in missing
        )
        return sum(gone)


def wipe(database: Database) -> bool:
    """Make sure that what was deleted stands in no file of the database any more.

    False when somebody kept reading an old state for so long that it still may. Raises LedgerError.
    """
    if database.engine.dialect.name == "postgresql":
        patiently(lambda: _vacuum(database))
        return True
    patiently(lambda: _write_anew(database))
    try:
        patiently(lambda: _empty_wal(database))
    except LedgerUnavailableError:
        return False
    return True


def _write_anew(database: Database) -> None:
    """Put names into fresh pages: SQLite leaves copies behind when it moves rows between pages.

    Pages that become free are overwritten, as `secure_delete` says; 4 us for each person.
    """
    with database.transaction() as connection:
        for table in (SUBJECT, OPEN_REQUEST):
            rows = [dict(row) for row in connection.execute(select(table)).mappings()]
            connection.execute(delete(table))
            if rows:
                connection.execute(insert(table), rows)


def _empty_wal(database: Database) -> None:
    """Move everything from the write-ahead log into the file, and cut the log to nothing."""
    with database.faults():
        connection = database.engine.raw_connection()
        try:
            cursor = connection.cursor()
            busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            connection.close()
    if busy:
        raise LedgerUnavailableError("somebody reads an old state of the ledger")


def _vacuum(database: Database) -> None:
    """Write the tables that hold names into new files; that locks them for a moment."""
    with database.faults(), database.engine.connect() as connection:
        alone: Connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        for table in (SUBJECT, OPEN_REQUEST):
            alone.exec_driver_sql(f"VACUUM FULL {table.name}")
