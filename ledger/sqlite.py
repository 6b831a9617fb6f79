"""SQLite: WAL, one writer at a time, any number of readers.

`synchronous=FULL` makes each commit survive a power cut, not only a kill: one fsync per commit,
at most some twenty a second, and journal files may be deleted as soon as it returns.
"""

import fcntl
import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from ledger.store import LedgerError, LedgerUnavailableError

BUSY_TIMEOUT_S = 0.5
"""How long one attempt waits for a lock. Short, so that the settle process stays responsive; it
tries again by itself."""

CACHE_KIB = 32 * 1024
"""Page cache of a writer: the ends of the indexes, where settle keys begin with the time, and the
sums of this hour. What else is touched comes from the page cache of the kernel."""

_PASSING = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}
"""What time or an operator may heal: locks, a full or failing disk, permissions."""

_FOREIGN = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


def connect(path: Path, *, writes: bool) -> Engine:
    """Prepare connections to the file at `path`, which `writes` creates. Raises LedgerError."""
    if not writes and not path.exists():
        raise LedgerError(f"no ledger at {path}: nothing has been settled there yet")
    # A connection may move between threads, and is used in one at a time. None is kept: opening one
    # takes 0.3 ms, and finds the ledger that is there now, also after a restore. (What SQLAlchemy would
    # take here is for databases in memory: with a sixth thread it closes connections under others.)
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: _writer(path) if writes else _reader(path),
        poolclass=NullPool,
    )
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "begin", begun)
    return engine


def explain(fault: DBAPIError) -> LedgerError | None:
    """Tell a fault that passes and a file that is none of ours from a mistake of ours."""
    code = getattr(fault.orig, "sqlite_errorcode", 0) & 0xFF
    if code in _PASSING:
        return LedgerUnavailableError(str(fault.orig))
    if code in _FOREIGN:
        return LedgerError(f"not a ledger, or a damaged one: {fault.orig}")
    return None


class FileClaim:
    """A lock on a file beside the ledger: the kernel drops it when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def take(self, _connection: Connection, /) -> None:
        self.hold()

    def hold(self) -> None:
        """Take it without the ledger, which need not be there. Raises LedgerError."""
        if self._fd is not None:
            return
        beside = self._path.with_name(self._path.name + ".writer")
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise LedgerError(f"{self._path} is being written by another settle process") from None
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _writer(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        db.execute("PRAGMA secure_delete = ON")  # whoever is erased is overwritten, too
    except BaseException:
        db.close()
        raise
    return db


def _reader(path: Path) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
