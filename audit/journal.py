"""Records on their way: one line of JSON each, in a file of the process that writes them.

The files are journals like the ledger's (`ledger/journal.py`): one `write` for each record, so a
kill -9 a moment later loses nothing; a lock that says whether somebody still writes; room on disk
that is taken beforehand. What a crash of the machine could lose is a second's worth: `run` syncs.
"""

import asyncio
import errno
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from audit.record import Record
from ledger.journal import JournalWriter
from telemetry.logs import Event, EventLog

DIRECTORY = Path("audit", "journal")
"""Below the state directory."""
ROLL_BYTES = 4 * 1024 * 1024
"""Of the files of workers: some 20 000 records. The room is taken when a file is opened."""
COMMAND_BYTES = 64 * 1024
"""Of a command's file, which gets a record or two."""
MOST_BYTES = 512 * 1024
"""Of one record. What asks for more is no record; those of requests are cut far below."""
SYNC_S = 1.0
LATEST_MS = 10**14
"""The year 5138: later times are mistakes."""

_log = EventLog(__name__)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class BadRecordError(ValueError):
    """A line that is no record, such as one that was torn off by a kill."""


class AuditJournal:
    """`AuditLog` of one process."""

    def __init__(self, state: Path, *, roll_bytes: int = ROLL_BYTES, waits: bool = False) -> None:
        """Open a file in the state directory. `waits`: every record for the disk. Raises OSError."""
        directory = state / DIRECTORY
        for path in (state, directory.parent, directory):
            path.mkdir(mode=0o700, parents=path is state, exist_ok=True)
        self._writer = JournalWriter(
            directory, start_ns=time.time_ns(), pid=os.getpid(), roll_bytes=roll_bytes
        )
        self._is_synced = True
        self._waits = waits

    def write(self, record: Record) -> None:
        """Append a record: about 2 us. Raises OSError."""
        line = _encode(record) + b"\n"
        if len(line) > MOST_BYTES:
            raise OSError(errno.EMSGSIZE, f"a record of {len(line)} bytes")
        self._writer.write(line, record.at_ms / 1000)
        self._is_synced = False
        if self._waits:
            self.sync()

    def sync(self) -> None:
        """Wait for the disk, if anything was written since the last time. Raises OSError."""
        if not self._is_synced:
            self._is_synced = True
            self._writer.sync()

    async def run(self) -> None:
        """Sync once a second, for ever, in a thread."""
        while True:
            await asyncio.sleep(SYNC_S)
            try:
                await asyncio.to_thread(self.sync)
            except OSError as fault:
                _log.error(Event.AUDIT_NOT_SYNCED, reason=str(fault))

    def close(self) -> None:
        """Sync, and leave the file to be collected. Raises OSError."""
        try:
            self.sync()
        finally:
            self._writer.close()


@contextmanager
def writing(state: Path) -> Generator[AuditJournal]:
    """Have a journal for a command. It is opened before the command does anything: what cannot be
    recorded does not happen. Raises OSError."""
    journal = AuditJournal(state, roll_bytes=COMMAND_BYTES, waits=True)
    try:
        yield journal
    finally:
        journal.close()


def read_record(line: bytes) -> Record:
    """Read one line. Raises BadRecordError."""
    try:
        record = _decode(line)
    except (ValueError, RecursionError) as fault:
        raise BadRecordError(str(fault)) from fault
    if not 0 <= record.at_ms < LATEST_MS:
        raise BadRecordError(f"{record.at_ms} is no time")
    return record
