"""A ledger in memory: for tests, and the shortest statement of what a ledger does."""

from collections.abc import Collection

import msgspec

from ledger.booking import Books, Person, Values, book, people
from ledger.chain import Link
from ledger.rollup import Tallies, add_up, merge
from ledger.row import Row
from ledger.store import Booked, Change, LedgerMovedError, Open
from ledger.subjects import new_pseudonym


class MemoryLedger:
    def __init__(self) -> None:
        self._commits = 0
        self._entries: list[Values] = []
        self._in_force: dict[str, Booked] = {}
        self._chains: dict[str, Link] = {}
        self._pseudonyms: dict[Person, str] = {}
        self._tallies: Tallies = {}
        self._open: dict[str, Open] = {}
        self._offsets: dict[str, int] = {}
        self._booked_ms = 0

    def position(self) -> int:
        return self._commits

    def open_requests(self) -> dict[str, Open]:
        return dict(self._open)

    def offsets(self) -> dict[str, int]:
        return dict(self._offsets)

    def rows(self, keys: Collection[str]) -> dict[str, Booked]:
        return {key: self._in_force[key] for key in keys if key in self._in_force}

    def all_rows(self) -> dict[str, Row]:
        return {key: booked.row for key, booked in self._in_force.items()}

    def entries(self) -> list[Values]:
        return list(self._entries)

    def tallies(self) -> Tallies:
        return self._tallies

    def commit(self, change: Change) -> None:
        if change.after is not None and change.after != self._commits:
            raise LedgerMovedError(f"at commit {self._commits}, not {change.after}")
        for key in (row.settle_key for row in change.rows):
            if key in self._in_force and key not in change.replaced:
                raise ValueError(f"{key} is booked already")
        self._commits += 1
        self._book(change)
        for key in change.closed:
            self._open.pop(key, None)
        self._open.update(change.opened)
        self._offsets.update(change.offsets)
        for file_id in change.forgotten:
            self._offsets.pop(file_id, None)

    def erase(self, tenant: str, user: str) -> int:
        """Forget who a pseudonym stands for; returns how many were found."""
        pseudonym = self._pseudonyms.pop((tenant, user), None)
        if pseudonym is None:
            return 0
        for key, booked in self._in_force.items():
            if booked.pseudonym == pseudonym:
                row = msgspec.structs.replace(booked.row, user=pseudonym)
                self._in_force[key] = msgspec.structs.replace(booked, row=row)
        return 1

    def close(self) -> None: ...

    def _book(self, change: Change) -> None:
        for person in people(change.rows, change.replaced):
            self._pseudonyms.setdefault(person, new_pseudonym())
        books = Books(len(self._entries), self._booked_ms, self._chains, self._pseudonyms)
        booked = book(change.rows, change.replaced, books, change.booked_ms)
        self._entries += booked.entries
        self._chains.update(booked.chains)
        self._in_force.update(booked.in_force)
        self._booked_ms = max(self._booked_ms, change.booked_ms)
        merge(self._tallies, add_up(booked.entries))
