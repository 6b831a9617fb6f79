"""People in the ledger: entries name a pseudonym, and this table alone knows who that is.

Erasing a person deletes that row. Entries, sums and hashes stay as they are and tell of nobody any
more; if the same person comes again, it is under another pseudonym.
"""

import secrets
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, insert, select, tuple_, update

from ledger.booking import Person
from ledger.chain import chain_of
from ledger.tables import LEDGER, SUBJECT

_AT_ONCE = 1000
"""People asked for in one query."""


def new_pseudonym() -> str:
    """Draw one at random, so that it says nothing of whom it stands for."""
    return f"u-{secrets.token_hex(8)}"


def find(connection: Connection, people: Collection[Person]) -> dict[Person, str]:
    """Look up the pseudonyms of those who have one."""
    found: dict[Person, str] = {}
    for some in _chunks(sorted(people)):
        query = select(SUBJECT).where(tuple_(SUBJECT.c.tenant, SUBJECT.c.name).in_(some))
        for pseudonym, tenant, name in connection.execute(query):
            found[tenant, name] = pseudonym
    return found


def introduce(connection: Connection, people: Collection[Person]) -> dict[Person, str]:
    """Give each of `people` a pseudonym; they must not have one."""
    drawn = {person: new_pseudonym() for person in people}
    if drawn:
        connection.execute(
            insert(SUBJECT),
            [{"pseudonym": p, "tenant": t, "name": n} for (t, n), p in drawn.items()],
        )
    return drawn


def erase(connection: Connection, tenant: str | None, user: str) -> int:
    """Forget who this user's pseudonym stands for; returns how many there were, 0 or 1.

    For any process: the settle process learns of it with its next commit. Requests that still run
    carry the name in `open_request` until they end, and then get a new pseudonym.
    """
    # First: it waits for a commit under way, and the next commit waits for us.
    connection.execute(update(LEDGER).values(erasures=LEDGER.c.erasures + 1))
    whom = (SUBJECT.c.tenant == chain_of(tenant)) & (SUBJECT.c.name == user)
    return connection.execute(delete(SUBJECT).where(whom)).rowcount


def _chunks(people: list[Person]) -> Iterable[list[Person]]:
    return (people[start : start + _AT_ONCE] for start in range(0, len(people), _AT_ONCE))
