"""Reading logs again from where a backup had read them, by the settle process's own means."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from ledger import journal
from ledger.database import Database
from ledger.finished import read_offsets
from ledger.patience import PAUSE_S, TRIES
from ledger.settle import Pace, Settler
from ledger.store import Ledger, LedgerUnavailableError
from ledger.tables import SOURCE
from ledger.tail import identify, rotations_of
from telemetry.metrics import SettleMetrics


def settle(
    access_log: Path,
    journals: Path,
    ledger: Ledger,
    clock: Callable[[], float] = time.time,
    pause_s: float = PAUSE_S,
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
                time.sleep(pause_s)


def recognise(database: Database, access_log: Path, journals: Path) -> set[str]:
    """Find the files that the ledger has read before, also those that were copied since.

    A copy has another inode and the same first line: from now on it is known as what it is. Returns
    the first lines of all files, as `first_line` names them. Raises LedgerError, OSError.
    """
    present = dict(_files(access_log, journals))
    with database.transaction() as connection:
        offsets = read_offsets(connection)
        read_to = {first_line(file_id): offset for file_id, offset in offsets.items()}
        for file_id, size in present.items():
            offset = read_to.get(first_line(file_id))
            if file_id not in offsets and offset is not None and offset <= size:
                row = {"file_id": file_id, "read_to": offset}
                connection.execute(insert(SOURCE).values(row))
    return set(map(first_line, present))


def first_line(file_id: str) -> str:
    """Name what is the same in every copy of a file: a hash of its first line."""
    return file_id.partition("-")[2]


def _files(access_log: Path, journals: Path) -> Iterator[tuple[str, int]]:
    is_log = rotations_of(access_log.name)
    for directory, matches in ((access_log.parent, is_log), (journals, journal.is_journal)):
        for path in directory.iterdir() if directory.exists() else ():
            if matches(path.name):
                with path.open("rb") as file:
                    file_id = identify(file.fileno())
                if file_id is not None:
                    yield file_id, path.stat().st_size
