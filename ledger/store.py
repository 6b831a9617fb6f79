"""The port to the ledger, and what one commit writes.

A commit is all or nothing: bookings, requests that are still open, and how far each file was read.
That makes replay exact: after a kill -9 at any moment, reading starts at the stored offsets and
meets the very state that belongs to them.

A commit whose answer got lost may have happened or not. So commits are numbered: each says which
one it follows, and is refused when that is not the last one. Whoever is in doubt asks `position`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ledger.row import Row
from ledger.sighting import Departure, Renewal


class LedgerError(Exception):
    """The ledger cannot be used: another version, another writer, not a ledger."""


class LedgerUnavailableError(LedgerError):
    """It cannot be used now (locked, disk full, connection lost); later it may be."""


class LedgerMovedError(LedgerError):
    """Somebody else has committed since: what we believe of the ledger is out of date."""


class Open(msgspec.Struct, frozen=True):
    """A request that was seen and has not ended."""

    seen: Departure | Renewal
    leased_at_s: float
    """When somebody last vouched for it: seconds since the epoch."""


class Booked(msgspec.Struct, frozen=True):
    """The entry in force of one request."""

    row: Row
    """`user` is the name, or the pseudonym when that person was erased."""
    revision: int = 0
    pseudonym: str | None = None
    """What the entry says instead of `row.user`."""


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one commit writes."""

    rows: Collection[Row] = ()
    """Rows to book. One that is not in `replaced` must be the first of its settle key: a second
    booking of the same is refused by the database, whatever went wrong before."""
    replaced: Mapping[str, Booked] = field(default_factory=dict[str, Booked])
    """By settle key, what `rows` reverses: as `Ledger.rows` told it."""
    opened: Mapping[str, Open] = field(default_factory=dict[str, Open])
    """Open requests by key, new or renewed."""
    closed: Collection[str] = ()
    """Keys that are open no more."""
    offsets: Mapping[str, int] = field(default_factory=dict[str, int])
    """How far each file was read, by file id."""
    forgotten: Collection[str] = ()
    """File ids that are gone for good."""
    booked_ms: int = 0
    """Now. Entries never go back in time: the store books at this or at its last time, if later."""
    after: int | None = None
    """The position this follows; None follows any."""

    @property
    def is_empty(self) -> bool:
        changes = (self.rows, self.opened, self.closed, self.offsets, self.forgotten)
        return not any(changes)


class Ledger(Protocol):
    """One writer's view. Any method may raise LedgerUnavailableError."""

    def position(self) -> int:
        """Count the commits that are stored, asking the store itself."""
        ...

    def open_requests(self) -> dict[str, Open]: ...

    def offsets(self) -> dict[str, int]: ...

    def rows(self, keys: Collection[str]) -> dict[str, Booked]:
        """Find what is in force for these keys."""
        ...

    def commit(self, change: Change) -> None:
        """Write all of it, durably, or nothing. Raises LedgerMovedError.

        After LedgerUnavailableError it is uncertain which of both happened.
        """
        ...

    def close(self) -> None: ...
