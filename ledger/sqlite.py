"""The ledger in SQLite: WAL, one writer, any number of readers.

`synchronous=FULL` makes each commit survive a power cut, not only a kill: one fsync per commit,
at most some twenty a second, and journal files may be deleted as soon as it returns.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import TypeVar

import msgspec

from ledger.row import Row
from ledger.sighting import Departure, Renewal
from ledger.store import Change, LedgerError, LedgerUnavailableError, Open

SCHEMA_VERSION = 1

BUSY_TIMEOUT_S = 0.5
"""How long one attempt waits for a lock. Short, so that the settle process stays responsive; it
tries again by itself."""

CACHE_KIB = 32 * 1024
"""Page cache of the writer. Settle keys are random, so their index is touched everywhere; 32 MiB
hold it up to some 500 000 rows, beyond that SQLite reads through the page cache of the kernel."""

_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}
"""What time or an operator may heal: locks, a full or failing disk, permissions."""

_COLUMNS = Row.__struct_fields__
_INSERT = (
    f"INSERT INTO request ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - our own column names
    f"ON CONFLICT (settle_key) DO UPDATE SET {', '.join(f'{c} = excluded.{c}' for c in _COLUMNS)}"
)
_SELECT = (
    f"SELECT {', '.join(_COLUMNS)} FROM request "  # noqa: S608 - our own column names
    "WHERE settle_key IN (SELECT value FROM json_each(?))"
)
_encode_seen = msgspec.json.Encoder().encode
_decode_seen = msgspec.json.Decoder(Departure | Renewal).decode

T = TypeVar("T")


class SqliteLedger:
    """The writing side. A lock beside the file keeps a second writer out."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises LedgerError: another writer, a newer version, not a ledger."""
        self._lock = _lock(path)
        try:
            self._db = _connected(path)
        except LedgerError:
            os.close(self._lock)
            raise

    def open_requests(self) -> dict[str, Open]:
        query = "SELECT settle_key, leased_at_s, seen FROM open_request"
        found = self._all(query, list[tuple[str, float, str]])
        return {key: Open(_decode_seen(seen), leased_at_s) for key, leased_at_s, seen in found}

    def offsets(self) -> dict[str, int]:
        return dict(self._all("SELECT file_id, read_to FROM source", list[tuple[str, int]]))

    def rows(self, keys: Collection[str]) -> dict[str, Row]:
        if not keys:
            return {}
        wanted = msgspec.json.encode(list(keys)).decode()
        found = self._all(_SELECT, list[tuple[object, ...]], wanted)
        # SQLite has no booleans; strict=False turns its 0 and 1 back into them.
        rows = (
            msgspec.convert(dict(zip(_COLUMNS, values, strict=True)), Row, strict=False)
            for values in found
        )
        return {row.settle_key: row for row in rows}

    def commit(self, change: Change) -> None:
        _attempt(lambda: self._write(change))

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)

    def _all(self, query: str, kind: type[list[T]], *values: str) -> list[T]:
        found = _attempt(lambda: self._db.execute(query, values).fetchall())
        return msgspec.convert(found, kind)

    def _write(self, change: Change) -> None:
        execute = self._db.executemany
        self._db.execute("BEGIN IMMEDIATE")
        try:
            execute(_INSERT, (msgspec.structs.astuple(row) for row in change.rows))
            execute("DELETE FROM open_request WHERE settle_key = ?", _singles(change.closed))
            execute(
                "INSERT OR REPLACE INTO open_request (settle_key, leased_at_s, seen) VALUES (?, ?, ?)",
                (
                    (k, o.leased_at_s, _encode_seen(o.seen).decode())
                    for k, o in change.opened.items()
                ),
            )
            execute(
                "INSERT OR REPLACE INTO source (file_id, read_to) VALUES (?, ?)",
                change.offsets.items(),
            )
            execute("DELETE FROM source WHERE file_id = ?", _singles(change.forgotten))
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def open_reader(path: Path) -> sqlite3.Connection:
    """Connect for reading while the settle process writes. Raises LedgerError."""
    if not path.exists():
        raise LedgerError(f"no ledger at {path}: nothing has been settled there yet")

    def connect() -> sqlite3.Connection:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        _check_version(db, path)
        return db

    return _attempt(connect)


def _connected(path: Path) -> sqlite3.Connection:
    def connect() -> sqlite3.Connection:
        # The settle process calls from a worker thread, one call at a time.
        db = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if _version(db) == 0:
            db.executescript(resources.files("ledger").joinpath("schema.sql").read_text())
        _check_version(db, path)
        return db

    return _attempt(connect)


def _version(db: sqlite3.Connection) -> int:
    with closing(db.execute("PRAGMA user_version")) as cursor:
        return int(cursor.fetchone()[0])


def _check_version(db: sqlite3.Connection, path: Path) -> None:
    version = _version(db)
    if version != SCHEMA_VERSION:
        db.close()
        raise LedgerError(
            f"{path} has ledger version {version}; this program reads {SCHEMA_VERSION}"
        )


def _lock(path: Path) -> int:
    lock = os.open(
        path.with_name(path.name + ".writer"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640
    )
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise LedgerError(f"{path} is being written by another settle process") from None
    return lock


def _attempt(work: Callable[[], T]) -> T:
    try:
        return work()
    except sqlite3.OperationalError as fault:
        if getattr(fault, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            raise LedgerUnavailableError(str(fault)) from fault
        raise
    except sqlite3.DatabaseError as fault:
        if fault.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise LedgerError(f"not a ledger, or a damaged one: {fault}") from fault
        raise


def _singles(values: Iterable[str]) -> Iterable[tuple[str]]:
    return ((value,) for value in values)
