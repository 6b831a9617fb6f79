"""One request, as the ledger has it."""

from ledger.database import open_database
from ledger.lookup import look_up
from ledger.sql import open_ledger
from ledger.store import Change
from tests.ledger import books


def test_the_entry_in_force(where):
    first, other = books.row("s1", tenant="acme", user="ann"), books.row("s2", tenant="acme")
    late = books.row("s1", tenant="acme", user="ann", model="other")
    ledger = open_ledger(where)
    ledger.commit(Change(rows=[first, other]))
    database = open_database(where)
    try:
        assert look_up(database, "s1") == first
        ledger.commit(Change(rows=[late], replaced=ledger.rows(["s1"])))
        assert look_up(database, "s1") == late
        assert look_up(database, "s2") == other
        assert look_up(database, "s3") is None
    finally:
        ledger.close()
        database.close()
