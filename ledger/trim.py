"""Deleting entries for retention, the only way there is: from the start of a chain, and signed.

What remains can still be verified, because the chain remembers the hash of the last entry deleted
and a root vouches for it. Sums in `usage_quarter` stay. A request whose entries are gone is unknown
to the ledger, so logs and journals must not be kept, or put back, for longer than entries are.
"""

from sqlalchemy import Connection, delete, func, select, update

from ledger.tables import CHAIN, ENTRY, LEDGER, QUARTER_MS


def trim(connection: Connection, chain: str, until_seq: int) -> int:
    """Delete the entries of one chain up to `until_seq`, and return how many they were.

    Call `roots.add_root` in the same transaction when all chains are trimmed: until a root says so,
    entries that are missing count as tampering. The settle process waits meanwhile, so keep it to
    some ten thousand entries at once.
    """
    entry = ENTRY.c
    tenant = entry.tenant == chain if chain else entry.tenant.is_(None)
    which = tenant & (entry.seq <= until_seq)
    query = select(entry.chain_seq, entry.hash).where(which).order_by(entry.seq.desc()).limit(1)
    last = connection.execute(query).first()
    if last is None:
        return 0
    newest_ms = connection.execute(select(func.max(entry.start_ms)).where(which)).scalar_one()
    connection.execute(update(LEDGER).values(trimming=1))
    deleted = connection.execute(delete(ENTRY).where(which)).rowcount
    connection.execute(update(LEDGER).values(trimming=0))
    bucket_end_ms = newest_ms - newest_ms % QUARTER_MS + QUARTER_MS
    begin_ms = func.max if connection.dialect.name == "sqlite" else func.greatest
    connection.execute(
        update(CHAIN)
        .where(CHAIN.c.tenant == chain)
        .values(
            begin=last.chain_seq,
            begin_hash=last.hash,
            begin_ms=begin_ms(CHAIN.c.begin_ms, bucket_end_ms),
        )
    )
    return deleted
