"""Which entries have been kept long enough: by region, and from the start of a chain only.

Age counts from booking, in whole days of UTC. Entries can be deleted from the start of a chain
only, so a tenant whose requests come from several regions keeps each entry until all before it may
go, too. Nothing goes that is not signed yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, literal, select

from ledger.config import Retention
from ledger.roots import signed_entries
from ledger.tables import ENTRY
from ledger.trimmed import CHAIN_OF

DAY_MS = 86_400_000
LEAST_AGE_MS = DAY_MS
"""Nothing younger is ever deleted: its journal may not be used up yet, nor its last word be said."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Entries that were booked before these times may go; 0: none may."""

    default_ms: int = 0
    regions: Mapping[str, int] = field(default_factory=dict[str, int])
    """By region of who asked, where it differs."""

    @property
    def latest_ms(self) -> int:
        """What is older than this is too old for somebody."""
        return max((self.default_ms, *self.regions.values()))

    def capped(self, most_ms: int) -> "Cutoffs":
        """Keep everything since `most_ms`, whatever else is said."""
        regions = {region: min(ms, most_ms) for region, ms in self.regions.items()}
        return Cutoffs(min(self.default_ms, most_ms), regions)


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go."""

    first_seq: int = 0
    """The first entry of all."""
    until: Mapping[str, int] = field(default_factory=dict[str, int])
    """By chain, the last one."""

    def capped(self, last_seq: int) -> "Plan":
        """Keep whatever comes after `last_seq`."""
        return Plan(self.first_seq, {name: min(end, last_seq) for name, end in self.until.items()})


def cutoffs(retention: Retention, now_ms: int) -> Cutoffs:
    """Say what a policy means today."""
    today_ms = now_ms - now_ms % DAY_MS
    days = retention.default_days
    return Cutoffs(
        0 if days is None else today_ms - days * DAY_MS,
        {region: today_ms - kept * DAY_MS for region, kept in retention.regions.items()},
    )


def plan(connection: Connection, limits: Cutoffs) -> Plan:
    """Find what may go of each chain: one look at every entry that is old enough for anybody."""
    last_seq = min(last_before(connection, limits.latest_ms), signed_entries(connection))
    if not last_seq:
        return Plan()
    first: list[int] = []
    until: dict[str, int] = {}
    for chain, first_seq, kept_seq in connection.execute(_query(connection, limits, last_seq)):
        chain_until = last_seq if kept_seq is None else kept_seq - 1
        if chain_until >= first_seq:
            until[chain] = chain_until
            first.append(first_seq)
    return Plan(min(first, default=0), until)


def last_before(connection: Connection, time_ms: int) -> int:
    """Find the last entry that was booked before; 0: there is none. Time of booking ascends."""
    booked, seq = ENTRY.c.booked_ms, ENTRY.c.seq
    query = select(seq).where(booked < time_ms).order_by(booked.desc(), seq.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none() or 0


def _query(connection: Connection, limits: Cutoffs, last_seq: int) -> Select[Any, Any, Any]:
    """Ask of each chain for its first entry, and for the first that has to stay."""
    until: ColumnElement[int] = literal(last_before(connection, limits.default_ms))
    if limits.regions:
        ends = {region: last_before(connection, ms) for region, ms in limits.regions.items()}
        until = case(ends, value=ENTRY.c.region, else_=until)
    seq = ENTRY.c.seq
    kept = func.min(case((seq > until, seq)))
    return select(CHAIN_OF, func.min(seq), kept).where(seq <= last_seq).group_by(CHAIN_OF)
