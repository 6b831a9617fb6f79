"""Entries that are to be deleted go into an archive first, and nothing goes that is not in it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from ledger.database import Database
from ledger.export import ExportOptions, export
from ledger.files import Form
from ledger.manifest import ExportError, Manifest, Part, fingerprint, load
from ledger.question import parse_zone
from ledger.tables import ENTRY


def archive(
    database: Database,
    directory: Path,
    before_ms: int,
    form: Form,
    told: Callable[[str, Part], None],
) -> int:
    """Export the days before a time, as `headgate ledger export` does; returns the last `seq` up to
    which every entry is in the archive. A day that is not over by then waits for the next time.

    Raises: ExportError, LedgerError, OSError.
    """
    known = load(directory)
    manifest = export(
        database,
        ExportOptions(
            directory,
            form=form if known is None else known.format,
            zone=UTC if known is None else parse_zone(known.tz),
            until=datetime.fromtimestamp(before_ms / 1000, UTC),
        ),
        told,
    )
    with database.transaction() as connection:
        return archived_until(connection, directory, manifest)


def archived_until(connection: Connection, directory: Path, manifest: Manifest) -> int:
    """Find up to where the archive has every entry that is still in the ledger.

    It reads the files that have any. Raises ExportError when one is not what the manifest says.
    """
    last_seq = 0
    for part in _parts(manifest):
        following = _first_after(connection, last_seq)
        if following is None or following < part.first_seq:
            break
        path = directory / part.file
        if following <= part.last_seq and fingerprint(path) != (part.bytes, part.sha256):
            raise ExportError(f"{path} is not what was exported: nothing is deleted")
        last_seq = part.last_seq
    return last_seq


def _parts(manifest: Manifest) -> Sequence[Part]:
    parts = (part for day in manifest.partitions.values() for part in day.parts)
    return sorted(parts, key=lambda part: part.first_seq)


def _first_after(connection: Connection, seq: int) -> int | None:
    return connection.execute(select(func.min(ENTRY.c.seq)).where(ENTRY.c.seq > seq)).scalar()
