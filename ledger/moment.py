"""Logs as they were at one moment, laid out in a directory of their own, for a restore to that moment."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import delete, insert

from ledger import journal
from ledger.database import Database
from ledger.finished import read_offsets
from ledger.logfiles import begins_ms
from ledger.logparts import lay_out, lines_from, opened, unpack
from ledger.sighting import End
from ledger.snapshot import Backup, check
from ledger.tables import SOURCE
from ledger.tail import identify
from ledger.witness import BadLineError, read_line

_LATER_MS = 86_400_000
"""What ended by a time is in the backups of the next day: the ledger may lag, but not for so long."""


class Moment:
    """Everything that had ended, and every request that had begun."""

    def __init__(self, directory: Path, at_ms: int) -> None:
        """`directory` is not there yet. Raises OSError."""
        self.access_log = directory / "log" / "access.jsonl"
        self.journals = directory / "journal"
        for path in (self.access_log.parent, self.journals):
            path.mkdir(parents=True)
        self._at_ms = at_ms
        self._begins: dict[Path, int] = {}

    def clock(self) -> float:
        """Time stands still: nothing is given up that was still running."""
        return self._at_ms / 1000

    def add_parts(self, backups: Sequence[Backup]) -> None:
        """Take what later backups have kept of the log. Raises BackupError, OSError."""
        for backup in backups:
            for part in backup.snapshot.log:
                check(backup.path / part.file, part.sha256)
                with unpack(part, backup.path) as lines:
                    lay_out(lines, part.begin, self._next(part.begin), self._has_ended)
            if backup.snapshot.at_ms > self._at_ms + _LATER_MS:
                break

    def add_logs(self, access_log: Path, offsets: Mapping[str, int]) -> None:
        """Take what is there of the log, from where it was read by `offsets`. Raises OSError."""
        with opened(access_log) as logs:
            for file_id, log in logs.items():
                if begins_ms(log.path) <= self._at_ms:
                    begin = offsets.get(file_id, 0)
                    lay_out(lines_from(log, begin), begin, self._next(begin), self._has_ended)

    def add_journals(self, journals: Path) -> None:
        """Take the journals that are there. Raises OSError."""
        for path in sorted(journals.iterdir()) if journals.exists() else ():
            if journal.is_journal(path.name):
                lines = path.read_bytes().splitlines(keepends=True)
                begun = b"".join(line for line in lines if self._has_begun(line))
                (self.journals / path.name).write_bytes(begun)

    def tell(self, database: Database) -> None:
        """Let the ledger know where to begin in these files. Raises LedgerError, OSError."""
        with database.transaction() as connection:
            for path, begin in self._begins.items():
                with path.open("rb") as file:
                    file_id = identify(file.fileno())
                if file_id is not None:
                    row = {"file_id": file_id, "read_to": begin}
                    connection.execute(insert(SOURCE).values(row))

    def forget(self, database: Database, offsets: Mapping[str, int]) -> None:
        """Let it forget them again: `offsets` are those of the real ones. Raises LedgerError."""
        with database.transaction() as connection:
            gone = read_offsets(connection).keys() - offsets.keys()
            for file_id in gone:
                connection.execute(delete(SOURCE).where(SOURCE.c.file_id == file_id))

    def _next(self, begin: int) -> Path:
        path = self.access_log.with_name(f"{self.access_log.name}.{len(self._begins)}")
        self._begins[path] = begin
        return path

    def _has_ended(self, line: bytes) -> bool:
        """A line that nobody can read stays, to be counted as such."""
        try:
            seen = read_line(line.rstrip(b"\n"), ":0", self._at_ms)
        except BadLineError:
            return True
        if seen is None:
            return False
        took_ms = (seen.latency_us or 0) / 1000 if isinstance(seen, End) else 0
        return seen.start_ms + took_ms <= self._at_ms

    def _has_begun(self, line: bytes) -> bool:
        try:
            return journal.read_entry(line.rstrip(b"\n")).start_ms <= self._at_ms
        except journal.BadEntryError:
            return False
