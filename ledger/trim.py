"""Deleting entries for retention, the only way there is: from the start of a chain, and signed.

What remains can still be verified, because the chain remembers the hash of the last entry deleted
and the sums of all of them, and a root vouches for both. Sums in `usage_quarter` stay. A request
whose entries are gone is unknown to the ledger, so its lines in logs and journals must be gone
before: read again, they would count again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, or_, select, update

from ledger.tables import CHAIN, ENTRY, LEDGER, QUARTER_MS
from ledger.trimmed import CHAIN_OF, NOTHING, Trimmed, read_sums, read_trimmed, sums, write_trimmed

MOST_CHAINS = 1_000
"""In one call: they are parameters of one query."""

_SET = (
    update(CHAIN)
    .where(CHAIN.c.tenant == bindparam("chain"))
    .values({name: bindparam(name) for name in ("begin", "begin_hash", "begin_ms", "trimmed")})
)


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted of one chain, or would be."""

    entries: int
    sums: Trimmed
    last_seq: int
    newest_ms: int
    """The latest start of a request among them."""

    def __add__(self, later: "Deleted") -> "Deleted":
        return Deleted(
            self.entries + later.entries,
            self.sums + later.sums,
            later.last_seq,
            max(self.newest_ms, later.newest_ms),
        )


def look(
    connection: Connection, until: Mapping[str, int], first_seq: int = 0
) -> dict[str, Deleted]:
    """Tell what `trim` would delete."""
    query = (
        select(CHAIN_OF, func.count(), func.max(ENTRY.c.seq), func.max(ENTRY.c.start_ms))
        .add_columns(*sums(ENTRY))
        .where(_within(until, first_seq))
        .group_by(CHAIN_OF)
    )
    found: dict[str, Deleted] = {}
    for row in connection.execute(query):
        chain, entries, last_seq, newest_ms = row[:4]
        found[chain] = Deleted(entries, read_sums(row[4:]), last_seq, newest_ms)
    return found


def trim(
    connection: Connection, until: Mapping[str, int], first_seq: int = 0
) -> dict[str, Deleted]:
    """Delete the entries of each chain in `until` up to the `seq` that is said there.

    No entry of theirs may be before `first_seq`: that is where the search begins. At most
    MOST_CHAINS. Call `roots.add_root` in the same transaction when all chains are trimmed: until a
    root says so, entries that are missing count as tampering. The settle process waits meanwhile,
    some 20 ms for a thousand entries, so keep it to some ten thousand at once.
    """
    if not until:
        return {}
    # First: whoever else deletes, books or signs has finished then, or waits for us.
    connection.execute(update(LEDGER).values(trimming=1))
    deleted = look(connection, until, first_seq)
    if deleted:
        changed = _begins(connection, deleted)
        connection.execute(delete(ENTRY).where(_within(until, first_seq)))
        connection.execute(_SET, changed)
    connection.execute(update(LEDGER).values(trimming=0))
    return deleted


def _within(until: Mapping[str, int], first_seq: int) -> ColumnElement[bool]:
    """Most chains end at the same place, so this is a list of names for each place."""
    ends: dict[int, list[str]] = {}
    for chain, last_seq in until.items():
        ends.setdefault(last_seq, []).append(chain)
    each = (and_(CHAIN_OF.in_(chains), ENTRY.c.seq <= end) for end, chains in ends.items())
    return and_(ENTRY.c.seq.between(first_seq, max(ends)), or_(*each))


def _begins(
    connection: Connection, deleted: Mapping[str, Deleted]
) -> list[dict[str, str | int | bytes]]:
    """Say where each chain begins when they are gone."""
    last = {each.last_seq: chain for chain, each in deleted.items()}
    entries = select(ENTRY.c.seq, ENTRY.c.chain_seq, ENTRY.c.hash).where(ENTRY.c.seq.in_(last))
    places = {
        last[seq]: (chain_seq, hash_) for seq, chain_seq, hash_ in connection.execute(entries)
    }
    stored = select(CHAIN.c.tenant, CHAIN.c.begin_ms, CHAIN.c.trimmed).where(
        CHAIN.c.tenant.in_(deleted)
    )
    changed: list[dict[str, str | int | bytes]] = []
    for chain, begin_ms, before in connection.execute(stored):
        newest_ms, (chain_seq, hash_) = deleted[chain].newest_ms, places[chain]
        trimmed = deleted[chain].sums + (NOTHING if before is None else read_trimmed(before))
        changed.append(
            {
                "chain": chain,
                "begin": chain_seq,
                "begin_hash": hash_,
                "begin_ms": max(begin_ms, newest_ms - newest_ms % QUARTER_MS + QUARTER_MS),
                "trimmed": write_trimmed(trimmed),
            }
        )
    return changed
