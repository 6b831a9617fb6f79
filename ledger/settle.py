"""The settle process: read, close, commit, count, and again.

    access log --+
                 +--> sightings --> plan --> one commit --> metrics, log
    journal   ---+

A batch stays in hand until it is committed, so a locked ledger or a full disk delays rows and
loses none. Only then is more read, and a journal file that is used up deleted.
"""

import asyncio
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ledger import journal, witness
from ledger.plan import Plan, Seen, expire, plan, unknown_keys
from ledger.publish import publish_in_flight, publish_settled, publish_unsettled
from ledger.store import Change, Ledger, LedgerUnavailableError
from ledger.tail import Reading, Tail, rotations_of
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

LEASE_S = 60.0
"""A request that nobody vouched for that long is given up. Envoy vouches every 10 s, so five
entries in a row have to be missing."""

POLL_S = 0.05
"""Pause after a batch that caught up: rows follow their end by at most this, Envoy's flush of
0.1 s and one commit; an idle process costs about 1 % of a core."""

HOUSEKEEPING_S = 1.0
"""How often leases are checked and used-up journal files deleted."""

RETRY_S = (0.1, 2.0)
"""First and longest pause before a failed commit is tried again; it doubles in between. Short
enough that a lock of ten seconds is over within the lag people see anyway."""

_log = EventLog(__name__)


class Pace(Enum):
    """What the next step should wait for."""

    MORE = "there is more to read"
    CAUGHT_UP = "all is read and committed"
    BLOCKED = "the ledger takes nothing now"


@dataclass(slots=True)
class _Batch:
    """What was read and is not committed yet."""

    seen: list[Seen] = field(default_factory=list[Seen])
    offsets: dict[str, int] = field(default_factory=dict[str, int])
    forgotten: set[str] = field(default_factory=set[str])
    caught_up: bool = True


class Settler:
    """Owns the files it reads and everything the ledger says is open. Used by one thread at a time."""

    def __init__(
        self,
        access_log: Path,
        journal_directory: Path,
        ledger: Ledger,
        metrics: SettleMetrics,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        offsets = ledger.offsets()
        self._log_tail = Tail(access_log.parent, rotations_of(access_log.name), offsets)
        self._journal_directory = journal_directory
        self._journal_tail = Tail(journal_directory, journal.is_journal, offsets)
        self._ledger = ledger
        self._metrics = metrics
        self._lease_s = lease_s
        self._clock = clock
        self._offsets = offsets
        self._open = ledger.open_requests()
        self._batch: _Batch | None = None
        self._kept_house_at_s = 0.0
        publish_in_flight((), self._open.values(), metrics)

    def step(self) -> Pace:
        """Settle one batch. Raises OSError when log or journal cannot be read."""
        if self._batch is None:
            self._batch = self._read()
        batch = self._batch
        try:
            self._settle(batch)
        except LedgerUnavailableError as fault:
            self._metrics.ledger_faults.add()
            _log.warning(Event.LEDGER_FAULT, reason=str(fault), waiting=len(batch.seen))
            return Pace.BLOCKED
        self._batch = None
        return Pace.CAUGHT_UP if batch.caught_up else Pace.MORE

    def close(self) -> None:
        self._log_tail.close()
        self._journal_tail.close()

    def _read(self) -> _Batch:
        """Read the log before the journal: then whoever has ended has also departed."""
        log = self._log_tail.poll()
        entries = self._journal_tail.poll()
        batch = _Batch(caught_up=log.caught_up and entries.caught_up)
        self._read_entries(entries, batch)
        self._read_log(log, batch)
        for tail in (self._log_tail, self._journal_tail):
            batch.offsets.update(tail.offsets)
            batch.forgotten |= tail.gone
            tail.gone.clear()
            for name in tail.truncated:
                _log.warning(Event.FILE_TRUNCATED, file=name)
            tail.truncated.clear()
        batch.forgotten -= batch.offsets.keys()  # truncated, and begins with the same line again
        return batch

    def _read_entries(self, reading: Reading, batch: _Batch) -> None:
        bad = 0
        for line in reading.lines:
            try:
                batch.seen.append(journal.read_entry(line.text))
            except journal.BadEntryError:
                bad += bool(line.text)
        self._report_bad("journal", bad)

    def _read_log(self, reading: Reading, batch: _Batch) -> None:
        bad = 0
        now_ms = round(self._clock() * 1000)
        for line in reading.lines:
            try:
                seen = witness.read_line(line.text, line.place, now_ms)
            except witness.BadLineError:
                bad += 1
                continue
            if seen is not None:
                batch.seen.append(seen)
        self._report_bad("log", bad)

    def _report_bad(self, source: str, lines: int) -> None:
        if lines:
            self._metrics.log_lines_bad.add(source, amount=lines)
            _log.warning(Event.LINES_BAD, source=source, lines=lines)

    def _settle(self, batch: _Batch) -> None:
        now_s = self._clock()
        rows = self._ledger.rows(unknown_keys(batch.seen, self._open))
        planned = plan(batch.seen, self._open, rows, now_s)
        keep_house = batch.caught_up and abs(now_s - self._kept_house_at_s) >= HOUSEKEEPING_S
        if keep_house:
            expire(planned, self._open, now_s, self._lease_s)
        moved = {i: to for i, to in batch.offsets.items() if self._offsets.get(i) != to}
        if planned.rows or planned.opened or planned.closed or moved or batch.forgotten:
            self._ledger.commit(
                Change(
                    planned.rows.values(), planned.opened, planned.closed, moved, batch.forgotten
                )
            )
        self._offsets = batch.offsets
        self._apply(planned)
        if keep_house:
            self._kept_house_at_s = now_s
            self._delete_used_journals()

    def _apply(self, planned: Plan) -> None:
        """Follow the ledger: what is committed is now what is so."""
        changed = planned.opened.keys() | planned.closed
        before = [self._open.pop(key) for key in changed if key in self._open]
        self._open.update(planned.opened)
        publish_in_flight(before, planned.opened.values(), self._metrics)
        publish_settled(planned.settled, self._metrics, self._clock())
        publish_unsettled(planned.unsettled, self._metrics)

    def _delete_used_journals(self) -> None:
        """Delete what its worker has closed and we have committed to the last line."""
        for file in self._journal_tail.files():
            if not journal.is_complete(file.fd):
                continue
            rest = os.pread(file.fd, file.size() - file.offset, file.offset)
            if b"\n" in rest:
                continue  # written after our last poll, before its worker closed it
            self._report_bad("journal", bool(rest))  # a torn line at the end, from a full disk
            (self._journal_directory / file.name).unlink(missing_ok=True)
            self._journal_tail.drop(file)


async def follow(settler: Settler, stop: asyncio.Event, drain_s: float) -> bool:
    """Settle until `stop`, then whatever is left in the files; True when that was all of it."""
    loop = asyncio.get_running_loop()
    deadline_s = math.inf
    retry_s = 0.0
    while True:
        draining = stop.is_set()
        if draining and deadline_s == math.inf:
            deadline_s = loop.time() + drain_s
        pace = await asyncio.to_thread(settler.step)
        if pace is Pace.BLOCKED:
            retry_s = min(max(retry_s * 2, RETRY_S[0]), RETRY_S[1])
        elif retry_s:
            retry_s = 0.0
            _log.info(Event.LEDGER_BACK)
        if draining and (pace is Pace.CAUGHT_UP or loop.time() >= deadline_s):
            return pace is Pace.CAUGHT_UP
        pause_s = {Pace.MORE: 0.0, Pace.CAUGHT_UP: POLL_S, Pace.BLOCKED: retry_s}[pace]
        await _pause(stop, RETRY_S[0] if draining and pause_s else pause_s)


async def _pause(stop: asyncio.Event, pause_s: float) -> None:
    """Wait, but not beyond `stop` (while draining, it is set already: wait all of it)."""
    if stop.is_set():
        await asyncio.sleep(pause_s)
        return
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), pause_s)
