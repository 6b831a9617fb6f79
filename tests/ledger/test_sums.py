"""Sums while the writer forgets: test_sql.py compares them with the entries."""

from ledger.rollup import add_up, read_histogram, slot_of
from ledger.sql import open_ledger
from ledger.statements import Statements
from ledger.store import Change
from ledger.sums import Sums
from tests.ledger import books


def test_a_writer_that_remembers_nothing_adds_to_what_is_stored(where):
    ledger = open_ledger(where)
    ledger.commit(Change(rows=[books.row("s1"), books.row("s2", model="other")]))
    entries = books.entries(where)
    forgetful = Statements(ledger._database.engine.dialect)
    with ledger._transaction() as connection:
        Sums(forgetful).add(connection, add_up(entries))
    ledger.close()
    found = books.usage(where)
    assert [sums[0] for sums, _ in found.values()] == [2, 2]
    assert [read_histogram(ttft) for _, ttft in found.values()] == [{slot_of(120_000): 2}] * 2


def test_more_combinations_than_one_query_asks_for(where):
    ledger = open_ledger(where)
    for _ in range(2):
        rows = [books.row(f"s{_}-{n}", model=f"m{n}") for n in range(1_100)]
        ledger.commit(Change(rows=rows))
        ledger._known = None
    ledger.close()
    found = books.usage(where)
    assert len(found) == 1_100
    assert all(sums[0] == 2 for sums, _ in found.values())
