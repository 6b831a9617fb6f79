"""From journals to the store: each record exactly once, and in the order its writer wrote it.

What is read, and how far, is decided within the transaction that writes it, from the store alone.
So it does not matter when the settle process dies, or whether the answer to a commit got lost.
"""

import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from audit.reading import Found, Read, list_journals, process_of, read_on
from audit.store import prepare
from audit.tables import AUDIT, CHAIN, COLUMNS, ENTRY
from ledger.chain import Link, entry_hash
from ledger.database import Database
from ledger.sighting import clean
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

EVERY_S = 0.25
LOOK_S = 5.0
"""A file that nobody writes any more looks like one that is quiet: it is asked for that often."""
AT_ONCE = 10_000
"""Records in one commit are some more than this at most: what one more file had."""

_encode = msgspec.json.Encoder().encode
_log = EventLog(__name__)


class Batch(msgspec.Struct, frozen=True):
    """What one commit wrote."""

    found: list[Found]
    over: list[str]
    """Names of files that are of no further use."""
    is_all: bool
    """Every file was read to its end."""


class Collector:
    """The duty."""

    name = "audit"
    every_s = EVERY_S
    at_stop = True

    def __init__(
        self,
        database: Database,
        directory: Path,
        metrics: SettleMetrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._directory = directory
        self._metrics = metrics
        self._clock = clock
        self._is_prepared = False
        self._seen: Mapping[str, int] = {}
        """Sizes of files, the last time that all were read to their ends."""
        self._looked_s = 0.0

    def run(self) -> None:
        """Collect all there is. Raises LedgerError, OSError."""
        if not self._is_prepared:
            prepare(self._database)
            self._is_prepared = True
        if abs(self._clock() - self._looked_s) >= LOOK_S:  # clocks go back, too
            self._looked_s, self._seen = self._clock(), {}
        while (sizes := list_journals(self._directory)) != self._seen:
            now_ms = round(self._clock() * 1000)
            with self._database.transaction() as connection:
                batch = collect(connection, self._directory, list(sizes), now_ms)
            # Only now: they are in the store for good.
            for name in batch.over:
                (self._directory / name).unlink(missing_ok=True)
                sizes.pop(name, None)
            self._tell(batch, now_ms)
            if batch.is_all:
                self._seen = sizes
        self._metrics.audit_collected.set(self._clock())

    def _tell(self, batch: Batch, now_ms: int) -> None:
        for found in batch.found:
            self._metrics.audit_records.add(found.record.action)
            if found.is_bad:
                _log.error(Event.AUDIT_UNREADABLE, file=found.writer, place=found.place)
        if batch.found:
            oldest_ms = min(found.record.at_ms for found in batch.found)
            self._metrics.audit_lag.set(max(0, now_ms - oldest_ms) / 1000)


def collect(connection: Connection, directory: Path, names: Iterable[str], now_ms: int) -> Batch:
    """Write what is new in these files behind what is there. Raises OSError."""
    # Nobody else collects, signs or trims until this is committed.
    connection.execute(select(AUDIT).with_for_update())
    reading = Reading()
    for name in names:
        if reading.wants(name):
            with suppress(FileNotFoundError):
                read = read_on(directory / name, read_to(connection, name), now_ms)
                reading.add(name, read)
    batch = reading.batch()
    if batch.found:
        _append(connection, batch.found, now_ms)
    return batch


class Reading:
    """What is read for one commit."""

    def __init__(self) -> None:
        self._found: dict[str, list[Found]] = {}
        """By process: it goes on in another file only when one is complete."""
        self._unfinished: set[str] = set()
        self._over: list[str] = []
        self._count = 0

    def wants(self, name: str) -> bool:
        """Whether a file is to be read now: not before the one of its process before it is."""
        process, _ = process_of(name)
        if self._count >= AT_ONCE:
            self._unfinished.add(process)
        return process not in self._unfinished

    def add(self, name: str, read: Read) -> None:
        process, _ = process_of(name)
        self._found.setdefault(process, []).extend(read.found)
        self._count += len(read.found)
        if read.is_over:
            self._over.append(name)
        if not read.has_all:
            self._unfinished.add(process)

    def batch(self) -> Batch:
        """Merge by time, as far as the order of each process allows."""
        merged = heapq.merge(*self._found.values(), key=lambda each: each.record.at_ms)
        return Batch(list(merged), self._over, not self._unfinished)


def read_to(connection: Connection, name: str) -> int:
    """Tell how far a file was read: to the end of its last record."""
    query = select(func.max(ENTRY.c.place)).where(ENTRY.c.writer == name)
    return connection.execute(query).scalar_one() or 0


def _append(connection: Connection, found: Sequence[Found], now_ms: int) -> None:
    length, head = connection.execute(select(CHAIN.c.length, CHAIN.c.head)).one()
    last = select(ENTRY.c.collected_ms).where(ENTRY.c.seq == length)
    collected_ms = max(now_ms, connection.execute(last).scalar_one_or_none() or 0)
    link = Link(length, bytes(head))
    rows: list[dict[str, object]] = []
    for each in found:
        content = _content(link.length + 1, collected_ms, each)
        link = Link(link.length + 1, entry_hash(link.head, content))
        rows.append(dict(zip(COLUMNS, (*content, link.head), strict=True)))
    connection.execute(insert(ENTRY), rows)
    connection.execute(update(CHAIN).values(length=link.length, head=link.head))


def _content(seq: int, collected_ms: int, found: Found) -> tuple[str | int, ...]:
    record = found.record
    texts = (record.action, record.actor, record.object, record.outcome)
    asked = (record.tenant, record.request_id, record.settle_key)
    return (
        *(seq, collected_ms, found.writer, found.place, record.at_ms),
        *map(clean, (*texts, *asked)),
        _encode(record.members).decode(),
    )
