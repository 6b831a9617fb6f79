"""The port to the ledger, and what one commit writes.

A commit is all or nothing: rows, requests that are still open, and how far each file was read.
That makes replay exact: after a kill -9 at any moment, reading starts at the stored offsets and
meets the very state that belongs to them.
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
    """It cannot be used now (locked, disk full); the same commit may succeed later."""


class Open(msgspec.Struct, frozen=True):
    """A request that was seen and has not ended."""

    seen: Departure | Renewal
    leased_at_s: float
    """When somebody last vouched for it: seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Change:
    """Everything that one commit writes."""

    rows: Collection[Row] = ()
    """New ones, and those that replace the row with their key."""
    opened: Mapping[str, Open] = field(default_factory=dict[str, Open])
    """Open requests by key, new or renewed."""
    closed: Collection[str] = ()
    """Keys that are open no more."""
    offsets: Mapping[str, int] = field(default_factory=dict[str, int])
    """How far each file was read, by file id."""
    forgotten: Collection[str] = ()
    """File ids that are gone for good."""


class Ledger(Protocol):
    """One writer's view. Any method may raise LedgerUnavailableError."""

    def open_requests(self) -> dict[str, Open]: ...

    def offsets(self) -> dict[str, int]: ...

    def rows(self, keys: Collection[str]) -> dict[str, Row]:
        """Find the rows that exist for these keys."""
        ...

    def commit(self, change: Change) -> None:
        """Write all of it, durably, or nothing."""
        ...

    def close(self) -> None: ...
