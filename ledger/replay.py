"""Reading logs again from where a backup had read them, by the settle process's own means."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import delete, insert, select

from ledger import journal, witness
from ledger.database import Database
from ledger.finished import read_offsets
from ledger.logfiles import begins_ms
from ledger.logparts import LogFile, lay_out, lines_from, opened, unpack
from ledger.patience import PAUSE_S, TRIES
from ledger.settle import Pace, Settler
from ledger.sighting import End, Renewal
from ledger.snapshot import Backup, BackupError, check
from ledger.store import Ledger, LedgerUnavailableError
from ledger.tables import SOURCE
from ledger.tail import identify, rotations_of
from telemetry.metrics import SettleMetrics

_LATER_MS = 86_400_000
"""What ended by a time is in the backups of the next day: the ledger may lag, but not for so long."""


def settle(
    access_log: Path, journals: Path, ledger: Ledger, clock: Callable[[], float] = time.time
) -> None:
    """Settle all that is in the files. Raises LedgerError, OSError."""
    metrics = SettleMetrics(CollectorRegistry())
    with closing(Settler(access_log, journals, ledger, metrics, clock=clock)) as settler:
        tries = TRIES
        while (pace := settler.step()) is not Pace.CAUGHT_UP:
            tries = TRIES if pace is Pace.MORE else tries - 1
            if not tries:
                raise LedgerUnavailableError("the ledger takes nothing: see the log")
            if pace is Pace.BLOCKED:
                time.sleep(PAUSE_S)


def recognise(database: Database, access_log: Path, journals: Path) -> set[str]:
    """Find the files that the ledger has read before, also those that were copied since.

    A copy has another inode and the same first line: from now on it is known as what it is. Returns
    the ids by which the ledger knew them. Raises LedgerError, OSError.
    """
    with database.transaction() as connection:
        offsets = read_offsets(connection)
        by_line = {file_id.partition("-")[2]: file_id for file_id in offsets}
        found: set[str] = set()
        for file_id, size in _files(access_log, journals):
            known = file_id if file_id in offsets else by_line.get(file_id.partition("-")[2])
            if known is None or offsets[known] > size:
                continue
            found.add(known)
            if known != file_id:
                row = {"file_id": file_id, "read_to": offsets[known]}
                connection.execute(insert(SOURCE).values(row))
    return found


def _files(access_log: Path, journals: Path) -> Iterator[tuple[str, int]]:
    is_log = rotations_of(access_log.name)
    for directory, matches in ((access_log.parent, is_log), (journals, journal.is_journal)):
        for path in directory.iterdir() if directory.exists() else ():
            if matches(path.name):
                with path.open("rb") as file:
                    file_id = identify(file.fileno())
                if file_id is not None:
                    yield file_id, path.stat().st_size


class PointInTime:
    """Logs as they were at one moment, laid out in a directory of their own."""

    def __init__(self, directory: Path, at_ms: int) -> None:
        self._directory = directory
        self._at_ms = at_ms
        self.access_log = directory / "log" / "access.jsonl"
        self.journals = directory / "journal"
        self._begins: dict[Path, int] = {}
        for path in (self.access_log.parent, self.journals):
            path.mkdir(parents=True)

    def add_parts(self, backups: Sequence[Backup]) -> None:
        """Take what backups made after that of the ledger have kept. Raises BackupError, OSError."""
        for backup in backups:
            for part in backup.snapshot.log:
                check(backup.path / part.file, part.sha256)
                with unpack(part, backup.path) as lines:
                    self._lay_out(lines, part.begin)
            if backup.snapshot.at_ms > self._at_ms + _LATER_MS:
                break

    def add_logs(self, access_log: Path, offsets: Mapping[str, int]) -> None:
        """Take the logs that are still there, from where they were read. Raises OSError."""
        with opened(access_log) as logs:
            for file_id, log in logs.items():
                if begins_ms(log.path) <= self._at_ms:
                    begin = offsets.get(file_id, 0)
                    self._lay_out(lines_from(log, begin), begin)

    def add_journals(self, journals: Path) -> None:
        """Take the journals that are still there. Raises OSError."""
        for path in sorted(journals.iterdir()) if journals.exists() else ():
            if journal.is_journal(path.name):
                lines = path.read_bytes().splitlines(keepends=True)
                wanted = [line for line in lines if self._has_begun(line)]
                (self.journals / path.name).write_bytes(b"".join(wanted))


"""TODO"""
