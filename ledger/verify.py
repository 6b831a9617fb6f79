"""Proving that the ledger is what was once written: `headgate ledger verify`.

Found is whatever was changed, removed, inserted, reordered or cut off, in entries, chains, roots
and sums. Two things only a copy of the roots outside can show: that the newest entries are gone
together with the roots that knew them, and that somebody with the key wrote everything anew.
Of the views SQLite keeps the text, which is compared too. Not covered: `subject`, from which people
are erased, and what the settle process notes for itself.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec
from sqlalchemy import Connection, column, func, select, table

from ledger.booking import Values
from ledger.compare import compare, compare_totals
from ledger.database import Database
from ledger.raw import doubting, stream
from ledger.roots import Document, Root, Standing, standing
from ledger.schema import views_as_made
from ledger.signing import Verifier
from ledger.tables import CHAIN, ENTRY, ROOT
from ledger.walk import Fault, Roots, Walk, in_order

_TELL_EVERY = 10_000

Progress = Callable[[int, int], None]
"""Told how many entries were looked at, and of how many; each is looked at twice."""


class Verdict(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    entries: int
    chains: int
    roots: int
    unsigned: int
    """Entries behind the last root: their chain is checked, but nobody has signed them yet."""
    faults: tuple[Fault, ...]
    """Of each chain the first; of roots and sums, the first hundred."""
    trimmed: int = 0
    """Entries that retention has deleted; their sums are signed, and proved."""


MOST_FAULTS = 100


def verify(
    database: Database,
    verifier: Verifier,
    outside: Iterable[Root] = (),
    progress: Progress = lambda _done, _all: None,
) -> Verdict:
    """Verify a whole ledger in one consistent state, while it is written. About 20 us an entry.

    `outside`: roots that were kept elsewhere. Memory is bounded by chains, roots and what happens
    in a quarter of an hour. Raises LedgerError when the ledger cannot be read now.
    """
    verification = _Verification(verifier, progress)
    with doubting(database, verification.blame) as connection:
        verification.run(connection, outside)
    return verification.verdict()


class _Verification:
    """One run."""

    def __init__(self, verifier: Verifier, progress: Progress) -> None:
        self._roots = Roots(verifier)
        self._progress = progress
        self._faults: list[Fault] = []
        self._walk = Walk(())
        self._entries = self._signed = self._chains = self._compared = 0
        self._all = self._trimmed = 0

    def run(self, connection: Connection, outside: Iterable[Root]) -> None:
        count = select(func.count()).select_from(ENTRY)
        ((entries,),) = stream(connection, count)
        self._all = 2 * int(str(entries))
        self._add(Fault(f"view {name} is not as it was made") for name in views_changed(connection))
        standings = list(self._standings(connection))
        self._chains = len(standings)
        self._walk = Walk(standings)
        self._walk_along(connection)
        self._walk.end()
        self._add(filter(None, map(self._roots.compare, outside)))
        begins_ms = {chain.tenant: chain.begin_ms for chain in standings if chain.begin}
        self._add(compare(connection, begins_ms, self._tell_compared))
        deleted = {chain.tenant: chain.trimmed for chain in standings if chain.trimmed}
        self._add(compare_totals(connection, deleted))
        self._trimmed = sum(chain.begin for chain in standings)

    def blame(self, what: str) -> None:
        self._faults.append(Fault(what))

    def verdict(self) -> Verdict:
        return Verdict(
            entries=self._entries,
            chains=self._chains,
            roots=len(self._roots.hashes),
            unsigned=self._entries - self._signed,
            faults=(*self._walk.faults.values(), *self._faults),
            trimmed=self._trimmed,
        )

    def _walk_along(self, connection: Connection) -> None:
        """Walk over all entries, and stop at each root to compare."""
        entries = stream(connection, select(ENTRY).order_by(ENTRY.c.seq))
        roots = stream(connection, select(ROOT).order_by(ROOT.c.id))
        for each in in_order(entries, roots, self._roots):
            if isinstance(each, Fault):
                self._add([each])
            elif isinstance(each, Document):
                self._walk.root(each)
                self._signed = self._entries
            else:
                self._step(each)

    def _step(self, entry: Values) -> None:
        self._walk.entry(entry)
        self._entries += 1
        if self._entries % _TELL_EVERY == 0:
            self._progress(self._entries, self._all)

    def _tell_compared(self, entries: int) -> None:
        self._compared += entries
        self._progress(self._entries + self._compared, self._all)

    def _standings(self, connection: Connection) -> Iterator[Standing]:
        for values in stream(connection, select(CHAIN)):
            try:
                yield standing(values)
            except ValueError as fault:
                self.blame(f"table chain, {values[0]!r}: {fault}")

    def _add(self, faults: Iterable[Fault]) -> None:
        self._faults += islice(faults, MOST_FAULTS - len(self._faults))


def views_changed(connection: Connection) -> Iterable[str]:
    """Name the views that would show something else. PostgreSQL keeps no text of them."""
    if connection.dialect.name != "sqlite":
        return ()
    kept = table("sqlite_master", column("name"), column("sql"), column("type"))
    query = select(kept).where(kept.c.type == "view")
    found = {name: sql for name, sql, _ in stream(connection, query)}
    return [name for name, sql in views_as_made().items() if found.get(name) != sql]
