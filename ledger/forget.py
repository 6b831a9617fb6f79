"""Names go with entries: whoever has no entry any more is nobody, and keeps a pseudonym in sums only."""

from sqlalchemy import Connection, delete, func, select, update

from ledger.database import Database
from ledger.tables import ENTRY, LEDGER, SUBJECT

_AT_ONCE = 1_000
"""Pseudonyms in one statement."""


def forget_absent(reader: Database, writer: Database) -> int:
    """Forget who the pseudonyms are that no entry has; returns how many.

    It looks at every entry, 0.4 us each, while the ledger is written on; writers wait only
    for the end, where what was booked in the meantime is looked at.
    """
    with reader.transaction() as connection:
        last_seq: int = connection.execute(select(func.max(ENTRY.c.seq))).scalar() or 0
        present = select(ENTRY.c.user).where(ENTRY.c.user.is_not(None))
        absent = select(SUBJECT.c.pseudonym).where(SUBJECT.c.pseudonym.not_in(present))
        found = list(connection.execute(absent).scalars())
    if not found:
        return 0
    with writer.transaction() as connection:
        return _forget(connection, found, last_seq)


def _forget(connection: Connection, found: list[str], last_seq: int) -> int:
    # First: the writer learns by this that pseudonyms it remembers may be gone.
    connection.execute(update(LEDGER).values(erasures=LEDGER.c.erasures + 1))
    since = select(ENTRY.c.user).where(ENTRY.c.seq > last_seq, ENTRY.c.user.is_not(None))
    came_back = set(connection.execute(since.distinct()).scalars())
    gone = [pseudonym for pseudonym in found if pseudonym not in came_back]
    for start in range(0, len(gone), _AT_ONCE):
        some = SUBJECT.c.pseudonym.in_(gone[start : start + _AT_ONCE])
        connection.execute(delete(SUBJECT).where(some))
    return len(gone)
