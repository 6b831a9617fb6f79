"""Which log files are of no further use: read to their end, and all of it is in the ledger."""

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, select

from ledger.database import open_database
from ledger.tables import SOURCE
from ledger.tail import is_finished


def finished(where: str | Path, files: Iterable[Path]) -> list[Path]:
    """Choose those of `files` that the ledger at `where` does not need any more.

    Nobody may write to them. Raises LedgerError when the ledger cannot be asked, and OSError.
    """
    database = open_database(where)
    try:
        with database.transaction() as connection:
            offsets = read_offsets(connection)
    finally:
        database.close()
    return [path for path in files if is_finished(path, offsets)]


def read_offsets(connection: Connection) -> dict[str, int]:
    """Tell how far each file has been read, by file id."""
    return dict(connection.execute(select(SOURCE.c.file_id, SOURCE.c.read_to)).all())
