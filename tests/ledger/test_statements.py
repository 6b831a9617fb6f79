import pytest
from sqlalchemy import select

from ledger.sql import open_ledger
from ledger.statements import Statements
from ledger.tables import SOURCE, USAGE_QUARTER
from tests.ledger.books import query


@pytest.fixture
def ledger(where):
    ledger = open_ledger(where)
    yield ledger
    ledger.close()


def test_an_upsert_inserts_then_overwrites(ledger, where):
    statements = Statements(ledger._database.engine.dialect)
    with ledger._transaction() as connection:
        statements.move_source.run(connection, [("a", 1), ("b", 2)])
        statements.move_source.run(connection, [("a", 3)])
        statements.forget_source.run(connection, [("b",)])
        statements.forget_source.run(connection, [])
    assert query(where, select(SOURCE)) == [("a", 3)]


def test_sums_add_and_a_histogram_stays_unless_there_is_a_new_one(ledger, where):
    statements = Statements(ledger._database.engine.dialect)
    ones = [1] * (len(USAGE_QUARTER.c) - 3)
    with ledger._transaction() as connection:
        for histogram in (b"old", None, b"new", None):
            statements.add_usage.run(connection, [(1, 0, *ones, histogram)])
    (found,) = query(where, select(USAGE_QUARTER))
    assert found == (1, 0, *[4] * len(ones), b"new")
