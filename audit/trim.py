"""Deleting records that were kept long enough, the only way there is: from the start, and signed.

What is left stays provable: the chain remembers the number and the hash of the last record that was
deleted, and a root signs both. An export that was made before ends with that very hash.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, func, select, update

from audit.store import prepare
from audit.tables import AUDIT, CHAIN, ENTRY, TABLES
from ledger.database import Database
from ledger.retention import DAY_MS
from ledger.roots import add_root, signed_entries
from ledger.signing import Signer
from telemetry.logs import Event, EventLog

EVERY_S = 3600.0
AT_ONCE = 20_000
"""Records in one transaction, which whoever collects waits for: some 100 ms."""

_log = EventLog(__name__)


def cutoff_ms(days: int, now_ms: int) -> int:
    """Say what may go: whole days of UTC, so that it moves once a day."""
    return now_ms - now_ms % DAY_MS - days * DAY_MS


@dataclass(frozen=True, slots=True)
class Trimmer:
    """One store. Any method raises LedgerError."""

    database: Database
    signer: Signer
    clock: Callable[[], float] = time.time

    def plan(self, before_ms: int) -> tuple[int, int]:
        """Find what may go: how many, and the last of them. Age counts from collection, and nothing
        goes that is not signed."""
        with self.database.transaction() as connection:
            old = select(func.max(ENTRY.c.seq)).where(ENTRY.c.collected_ms < before_ms)
            signed = signed_entries(connection, TABLES)
            last_seq = min(connection.execute(old).scalar_one() or 0, signed)
            begin = connection.execute(select(CHAIN.c.begin)).scalar_one()
        return max(0, last_seq - begin), last_seq

    def trim(self, before_ms: int, last_seq: int | None = None) -> int:
        """Delete, as far as `last_seq` if it is said; returns how many."""
        count, planned = self.plan(before_ms)
        end = planned if last_seq is None else min(planned, last_seq)
        begin = planned - count
        for until in range(min(begin + AT_ONCE, end), end + 1, AT_ONCE) if end > begin else ():
            self._delete(until)
        self._delete(end)
        return max(0, end - begin)

    def _delete(self, until: int) -> None:
        with self.database.transaction() as connection:
            # First: whoever else deletes, collects or signs has finished then, or waits for us.
            connection.execute(update(AUDIT).values(trimming=1))
            last = select(ENTRY.c.hash, ENTRY.c.collected_ms).where(ENTRY.c.seq == until)
            row = connection.execute(last).one_or_none()
            if row is not None:
                hash_, collected_ms = row
                connection.execute(delete(ENTRY).where(ENTRY.c.seq <= until))
                began = {"begin": until, "begin_hash": hash_, "begin_ms": collected_ms}
                connection.execute(update(CHAIN).values(began))
            connection.execute(update(AUDIT).values(trimming=0))
            if row is not None:
                add_root(connection, self.signer, round(self.clock() * 1000), TABLES)


class Trimming:
    """The duty."""

    name = "audit_retention"
    every_s = EVERY_S
    at_stop = False

    def __init__(self, trimmer: Trimmer, days: Callable[[], int | None]) -> None:
        """`days` that records are kept, as the policy in force says; None: nothing goes by itself."""
        self._trimmer = trimmer
        self._days = days

    def run(self) -> None:
        """Raises LedgerError."""
        days = self._days()
        if days is None:
            return
        prepare(self._trimmer.database)
        before_ms = cutoff_ms(days, round(self._trimmer.clock() * 1000))
        if count := self._trimmer.trim(before_ms):
            _log.info(Event.AUDIT_TRIMMED, records=count)
