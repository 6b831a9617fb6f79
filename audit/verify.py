"""Proving that the records are what was once written: `headgate audit verify`.

As with the ledger, two things only a copy of the roots outside can show: that the newest records are
gone together with the roots that knew them, and that somebody with the key wrote everything anew.
"""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Connection, select

from audit.tables import AUDIT, CHAIN, CHAIN_NAME, ENTRY, ROOT
from audit.walk import Walk
from ledger.database import Database
from ledger.raw import doubting, stream
from ledger.roots import Document, Root, Standing, standing
from ledger.signing import Verifier
from ledger.store import LedgerError
from ledger.walk import Fault, Roots, in_order


class Verdict(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    records: int
    roots: int
    unsigned: int
    """Records behind the last root: their chain is checked, but nobody has signed them yet."""
    trimmed: int
    """Records that retention has deleted, as signed."""
    faults: tuple[Fault, ...]
    """The first hundred. `settle_key` has the action of the record."""


def verify(database: Database, verifier: Verifier, outside: Iterable[Root] = ()) -> Verdict:
    """Verify the whole store in one consistent state, while it is written. About 10 us a record.

    `outside`: roots that were kept elsewhere. Raises LedgerError when it cannot be read now.
    """
    verification = _Verification(verifier)
    with doubting(database, verification.blame) as connection:
        verification.run(connection, outside)
    return verification.verdict()


class _Verification:
    """One run."""

    def __init__(self, verifier: Verifier) -> None:
        self._faults: list[Fault] = []
        self._roots = Roots(verifier)
        self._walk = Walk(Standing(CHAIN_NAME, 0, "", 0, "", 0))
        self._records = self._signed = self._trimmed = 0

    def run(self, connection: Connection, outside: Iterable[Root]) -> None:
        stored = self._standing(connection)
        if stored is None:
            return
        self._walk = Walk(stored)
        self._trimmed = stored.begin
        self._walk_along(connection)
        self._walk.end()
        self._faults += filter(None, map(self._roots.compare, outside))

    def blame(self, what: str) -> None:
        self._faults.append(Fault(what))

    def verdict(self) -> Verdict:
        return Verdict(
            records=self._records,
            roots=len(self._roots.hashes),
            unsigned=self._records - self._signed,
            trimmed=self._trimmed,
            faults=(*self._walk.faults, *self._faults),
        )

    def _standing(self, connection: Connection) -> Standing | None:
        if [row[1] for row in stream(connection, select(AUDIT))] != [0]:
            self.blame("table audit: the guard against deleting records is off")
        rows = list(stream(connection, select(CHAIN)))
        if len(rows) != 1 or rows[0][0] != CHAIN_NAME:
            self.blame("table audit_chain: it has one row, which is another")
            return None
        try:
            found = standing(rows[0])
        except (ValueError, LedgerError) as fault:
            self.blame(f"table audit_chain: {fault}")
            return None
        if found.trimmed is not None:
            self.blame("table audit_chain: sums, where there are none")
        return found

    def _walk_along(self, connection: Connection) -> None:
        """Walk over all records, and stop at each root to compare."""
        entries = stream(connection, select(ENTRY).order_by(ENTRY.c.seq))
        roots = stream(connection, select(ROOT).order_by(ROOT.c.id))
        for each in in_order(entries, roots, self._roots):
            if isinstance(each, Fault):
                self._faults.append(each)
            elif isinstance(each, Document):
                self._walk.root(each)
                self._signed = self._records
            else:
                self._walk.entry(each)
                self._records += 1
