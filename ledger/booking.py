"""From rows to entries. Pure: the same rows in the same books give the same entries.

A row that is the first of its settle key becomes one entry. A row that replaces another becomes
two: the reversal of what was booked, with every amount negated, and what is true. So sums over
entries are right at any time and by any dimension, and nothing is ever changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from ledger.chain import Link, chain_of, entry_hash
from ledger.row import Row
from ledger.store import Booked
from ledger.tables import AMOUNTS, FLAGS

Person = tuple[str, str]
"""Chain of the tenant, and the user's name there."""

Values = tuple[str | int | bytes | None, ...]
"""The columns of one entry in their order."""

_FIELDS = Row.__struct_fields__[1:]  # the settle key stands before the entry's own columns
_SIGNED = tuple(place for place, name in enumerate(_FIELDS) if name in AMOUNTS)
_FLAGS = tuple(place for place, name in enumerate(_FIELDS) if name in FLAGS)


@dataclass(frozen=True, slots=True)
class Books:
    """What has to be known to book on."""

    seq: int
    """Of the last entry."""
    booked_ms: int
    chains: Mapping[str, Link]
    pseudonyms: Mapping[Person, str]
    """Everybody in `people` of the rows."""


@dataclass(frozen=True, slots=True)
class Bookings:
    """What is to be written."""

    entries: Sequence[Values]
    chains: Mapping[str, Link]
    """Those that grew."""
    in_force: Mapping[str, Booked]
    """By settle key, what the rows became."""


def people(rows: Iterable[Row], replaced: Mapping[str, Booked]) -> set[Person]:
    """List the users who need a pseudonym before these rows can be booked."""
    return {
        (chain_of(row.tenant), row.user)
        for row in rows
        if row.user is not None and not _is_same_person(row, replaced.get(row.settle_key))
    }


def book(
    rows: Iterable[Row], replaced: Mapping[str, Booked], books: Books, now_ms: int
) -> Bookings:
    """Book `rows` at `now_ms`, or at the last entry's time when the clock went back."""
    writer = _Writer(books, max(now_ms, books.booked_ms))
    for row in rows:
        writer.book(row, replaced.get(row.settle_key))
    return Bookings(writer.entries, writer.chains, writer.in_force)


class _Writer:
    def __init__(self, books: Books, booked_ms: int) -> None:
        self.entries: list[Values] = []
        self.chains: dict[str, Link] = {}
        self.in_force: dict[str, Booked] = {}
        self._books = books
        self._booked_ms = booked_ms
        self._seq = books.seq

    def book(self, row: Row, before: Booked | None) -> None:
        pseudonym, revision = None, 0
        if before is not None:
            self._append(before.row, before.pseudonym, before.revision + 1, -1)
            revision = before.revision + 2
        if before is not None and _is_same_person(row, before):
            pseudonym = before.pseudonym
        elif row.user is not None:
            pseudonym = self._books.pseudonyms[chain_of(row.tenant), row.user]
        self._append(row, pseudonym, revision, 1)
        self.in_force[row.settle_key] = Booked(row, revision, pseudonym)

    def _append(self, row: Row, pseudonym: str | None, revision: int, requests: int) -> None:
        chain = chain_of(row.tenant)
        link = self.chains.get(chain) or self._books.chains.get(chain) or Link()
        self._seq += 1
        content = (
            *(self._seq, row.settle_key, revision, requests, self._booked_ms),
            *_fields(msgspec.structs.replace(row, user=pseudonym), requests),
            link.length + 1,
        )
        hash_ = entry_hash(link.head, content)
        self.entries.append((*content, hash_))
        self.chains[chain] = Link(link.length + 1, hash_)


def _fields(row: Row, requests: int) -> Iterable[str | int | None]:
    fields: list[str | int | None] = list(msgspec.structs.astuple(row)[1:])
    for place in _FLAGS:
        fields[place] = requests if fields[place] else 0
    if requests < 0:
        for place in _SIGNED:
            amount = fields[place]
            assert amount is None or isinstance(amount, int)
            fields[place] = amount and -amount
    return fields


def _is_same_person(row: Row, before: Booked | None) -> bool:
    """Tell whether the user stays who is booked, who may have been erased since."""
    return before is not None and (row.tenant, row.user) == (before.row.tenant, before.row.user)
