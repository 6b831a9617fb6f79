"""The settle process: read, close, commit, count, and again.

    access log --+
                 +--> sightings --> plan --> one commit --> metrics, log
    journal   ---+

A batch stays in hand until it is committed, so a locked ledger or a full disk delays rows and
loses none. Only then is more read, and a journal file that is used up deleted. When a commit fails
nobody knows whether it happened, so the next step asks the ledger where it stands, and does not
commit what is stored already.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ledger import journal, witness
from ledger.plan import Plan, Seen, expire, plan, unknown_keys
from ledger.publish import (
    publish_booked,
    publish_in_flight,
    publish_settled,
    publish_unsettled,
)
from ledger.store import Change, Ledger, LedgerMovedError, LedgerUnavailableError, Open
from ledger.tail import Reading, Tail, rotations_of
from telemetry.logs import Event, EventLog
from telemetry.metrics import SettleMetrics

LEASE_S = 60.0
"""A request that nobody vouched for that long is given up. Envoy vouches every 10 s, so five
entries in a row have to be missing."""

HOUSEKEEPING_S = 1.0
"""How often leases are checked and used-up journal files deleted."""

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


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A batch on its way into the ledger."""

    batch: _Batch
    planned: Plan
    corrections: int
    keeps_house: bool
    now_s: float


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
        """Begin where the ledger stands; if it does not say so now, with the first step."""
        self._access_log = access_log
        self._journal_directory = journal_directory
        self._ledger = ledger
        self._metrics = metrics
        self._lease_s = lease_s
        self._clock = clock
        self._log_tail = Tail(access_log.parent, rotations_of(access_log.name), {})
        self._journal_tail = Tail(journal_directory, journal.is_journal, {})
        self._open: dict[str, Open] = {}
        self._kept_house_at_s = 0.0
        self._reading_s = 0.0
        self.settled_until_s = 0.0
        """What stood in the files by then is in the ledger: seconds since the epoch."""
        self._batch: _Batch | None = None
        self._moved = True
        with suppress(LedgerUnavailableError):
            self._begin()

    def step(self) -> Pace:
        """Settle one batch. Raises OSError when log or journal cannot be read."""
        waiting = 0 if self._batch is None else len(self._batch.seen)
        try:
            if self._moved:
                self._begin()
            return self._step()
        except LedgerMovedError as fault:
            self._moved = True
            _log.warning(Event.LEDGER_MOVED, reason=str(fault))
            return Pace.MORE
        except LedgerUnavailableError as fault:
            self._metrics.ledger_faults.add()
            _log.warning(Event.LEDGER_FAULT, reason=str(fault), waiting=waiting)
            return Pace.BLOCKED

    def _begin(self) -> None:
        """Take the stored state for ours, whatever we believed before."""
        # First: if somebody commits between these, our first commit will be told so.
        self._position = self._ledger.position()
        offsets, open_ = self._ledger.offsets(), self._ledger.open_requests()
        self.close()
        self._log_tail = Tail(self._access_log.parent, rotations_of(self._access_log.name), offsets)
        self._journal_tail = Tail(self._journal_directory, journal.is_journal, offsets)
        publish_in_flight(self._open.values(), open_.values(), self._metrics)
        self._offsets, self._open = offsets, open_
        self._batch = None
        self._doubt: _Attempt | None = None
        self._moved = False

    def _step(self) -> Pace:
        is_old = self._batch is not None
        if self._batch is None:
            self._reading_s = self._clock()
            self._batch = self._read()
        batch = self._batch
        if self._doubt is None or not self._was_committed(self._doubt):
            self._settle(batch, is_old=is_old)
        self._batch = None
        if batch.caught_up:
            self.settled_until_s = self._reading_s
        # Behind what was read when the ledger took nothing there may be more by now.
        return Pace.CAUGHT_UP if batch.caught_up and not is_old else Pace.MORE

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

    def _settle(self, batch: _Batch, *, is_old: bool) -> None:
        now_s = self._clock()
        booked = self._ledger.rows(unknown_keys(batch.seen, self._open))
        rows = {key: entry.row for key, entry in booked.items()}
        planned = plan(batch.seen, self._open, rows, now_s)
        keeps_house = batch.caught_up and abs(now_s - self._kept_house_at_s) >= HOUSEKEEPING_S
        if keeps_house and not is_old:
            expire(planned, self._open, now_s, self._lease_s)
        replaced = {key: entry for key, entry in booked.items() if key in planned.rows}
        attempt = _Attempt(batch, planned, len(replaced), keeps_house, now_s)
        change = Change(
            planned.rows.values(),
            replaced,
            planned.opened,
            planned.closed,
            {i: to for i, to in batch.offsets.items() if self._offsets.get(i) != to},
            batch.forgotten,
            booked_ms=round(now_s * 1000),
            after=self._position,
        )
        if change.is_empty:
            self._offsets = batch.offsets
            self._keep_house(attempt)
            return
        self._doubt = attempt  # until we hear that it is stored
        self._ledger.commit(change)
        self._apply(attempt)

    def _was_committed(self, attempt: _Attempt) -> bool:
        """Find out what became of a commit that failed; if it is stored, go on from there."""
        position = self._ledger.position()
        if position == self._position:
            self._doubt = None
            return False
        if position > self._position + 1:
            raise LedgerMovedError(f"at commit {position}, not {self._position} or the next")
        self._apply(attempt)
        return True

    def _apply(self, attempt: _Attempt) -> None:
        """Follow the ledger: what is committed is now what is so."""
        planned = attempt.planned
        self._doubt = None
        self._position += 1
        self._offsets = attempt.batch.offsets
        changed = planned.opened.keys() | planned.closed
        before = [self._open.pop(key) for key in changed if key in self._open]
        self._open.update(planned.opened)
        publish_in_flight(before, planned.opened.values(), self._metrics)
        publish_booked(len(planned.rows), attempt.corrections, self._metrics)
        publish_settled(planned.settled, self._metrics, self._clock())
        publish_unsettled(planned.unsettled, self._metrics)
        self._keep_house(attempt)

    def _keep_house(self, attempt: _Attempt) -> None:
        if attempt.keeps_house:
            self._kept_house_at_s = attempt.now_s
            self._delete_used_journals()

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
