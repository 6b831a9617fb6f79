"""The journal: one line for each forwarded request, written before it leaves.

If Envoy dies, its log never says how a request ended. The journal says that there was one, so
that it becomes a row `unsettled` instead of nothing.

A worker writes into `<start_ns>-<pid>-<seq>.jsonl` and opens the next file after 16 MiB or an hour,
so that people's names stand there no longer. It holds
an exclusive `flock` on the file it writes. The kernel drops the lock when the worker closes the
file or dies by whatever means, so "nobody holds it" is the one sign that a file is complete, and
it holds across pid namespaces and reused pids. A complete file that is settled is deleted.
"""

import fcntl
import os
from pathlib import Path
from typing import Annotated

import msgspec

from ledger.room import reserve
from ledger.sighting import MAX_N, Departure, Origin, clean, join_groups

ROLL_BYTES = 16 * 1024 * 1024
"""A worker opens the next file above this: about 45 000 entries, a second's work to read again. So
much room is taken when it is opened: so many requests are witnessed even when the disk is full."""

ROLL_S = 3600.0
"""And above this, with the first entry that comes so late."""

JOURNAL_SUFFIX = ".jsonl"


class BadEntryError(ValueError):
    """A journal line that is no entry, such as a torn write on a full disk."""


class JournalEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a request when it is forwarded. A later version may add members."""

    at: Annotated[float, msgspec.Meta(ge=0, lt=1e11)]
    """When it was decided: seconds since the epoch, before the year 5138."""
    settle_key: Annotated[str, msgspec.Meta(min_length=1)]
    request_id: str | None = None
    trace_id: str | None = None
    operation: str | None = None
    tenant: str | None = None
    project: str | None = None
    user: str | None = None
    groups: str | None = None
    """Sorted, joined by commas."""
    region: str | None = None
    key_id: str | None = None
    model: str | None = None
    track: str | None = None
    version: str | None = None
    pool: str | None = None
    n: int | None = None
    price: str | None = None
    """As `price.read_price` reads it."""
    stream: bool = False
    policy: str | None = None


class JournalWriter:
    """Appends entries; one writer per worker process.

    Each entry is one `write` to a file opened with O_APPEND: the line is whole or absent for any
    reader, and a kill -9 a moment later changes nothing, because the page cache belongs to the
    kernel. There is no fsync: only a crash of the machine could lose the last entries, it takes
    Envoy and the requests with it, and microseconds would become milliseconds on every request.
    """

    def __init__(
        self, directory: Path, *, start_ns: int, pid: int, roll_bytes: int = ROLL_BYTES
    ) -> None:
        """Create the first file. `start_ns` makes the name unique. Raises OSError."""
        self._directory = directory
        self._stem = f"{start_ns}-{pid}"
        self._roll_bytes = roll_bytes
        self._seq = 0
        self._written = 0
        self._begun_s: float | None = None
        self._torn = False
        self._encode = msgspec.json.Encoder().encode
        self._fd = self._open()

    def append(self, entry: JournalEntry) -> None:
        """Write one entry: about 2 us.

        Raises OSError when the disk is full or gone: then only Envoy's access log will tell of
        this request.
        """
        self.write(self._encode(entry) + b"\n", entry.at)

    def write(self, line: bytes, at_s: float) -> None:
        """Write one line, with its end. Raises OSError."""
        if self._torn:
            line = b"\n" + line  # ends the torn line, so that it spoils no other
        written = os.write(self._fd, line)
        self._written += written
        self._torn = written < len(line)
        if self._torn:
            raise OSError(f"journal: {written} of {len(line)} bytes written")
        if self._begun_s is None:
            self._begun_s = at_s
        if self._written >= self._roll_bytes or at_s - self._begun_s >= ROLL_S:
            self._roll()

    def sync(self) -> None:
        """Wait until what was written is on the disk: milliseconds. From any thread. Raises OSError."""
        fd = os.dup(self._fd)  # the file may be rolled meanwhile
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        os.close(self._fd)

    def _roll(self) -> None:
        self._seq += 1
        self._written = 0
        self._begun_s = None
        try:
            following = self._open()
        except OSError:
            return  # a long file is better than a lost entry; the next 16 MiB try again
        os.close(self._fd)
        self._fd = following

    def _open(self) -> int:
        """Create a file that has room, and is locked before any reader can see its name."""
        name = f"{self._stem}-{self._seq}{JOURNAL_SUFFIX}"
        hidden = self._directory / f".{name}"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(hidden, flags, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            reserve(fd, self._roll_bytes)
            hidden.rename(self._directory / name)
        except OSError:
            os.close(fd)
            hidden.unlink(missing_ok=True)
            raise
        return fd


def is_journal(name: str) -> bool:
    return name.endswith(JOURNAL_SUFFIX) and not name.startswith(".")


def is_complete(fd: int) -> bool:
    """Tell whether the worker that wrote this file has closed it or died.

    Ask before the last read: what is complete stays so, what is not may grow.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # somebody holds it; or locks do not work here, and then the file stays
    fcntl.flock(fd, fcntl.LOCK_UN)
    return True


_decode = msgspec.json.Decoder(JournalEntry).decode


def read_entry(line: bytes) -> Departure:
    """Read one line. Raises BadEntryError."""
    try:
        entry = _decode(line)
    except (ValueError, RecursionError) as fault:
        raise BadEntryError(str(fault)) from fault
    return Departure(
        key=clean(entry.settle_key),
        start_ms=round(entry.at * 1000),
        origin=Origin(
            _known(entry.request_id),
            _known(entry.trace_id),
            _known(entry.operation),
            _known(entry.tenant),
            _known(entry.project),
            _known(entry.user),
            join_groups((entry.groups or "").split(",")),
            _known(entry.region),
            _known(entry.key_id),
            _known(entry.model),
            _known(entry.track),
            _known(entry.version),
            _known(entry.pool),
            entry.n if entry.n and 0 < entry.n <= MAX_N else None,
            _known(entry.price),
            _known(entry.policy),
        ),
    )


def _known(text: str | None) -> str | None:
    return clean(text) if text else None
