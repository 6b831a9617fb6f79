import pytest
from sqlalchemy import select

from ledger import where as sql
from ledger.question import Condition
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import ENTRY
from tests.ledger import books

ROWS = {
    "1": {"tenant": "acme", "user": "alice", "groups": "a", "status": 200},
    "2": {"tenant": "acme", "user": "Alice", "groups": "A,ab", "status": 503},
    "3": {"tenant": "globex", "user": "alice", "groups": "ab,b", "status": None},
    "4": {"tenant": None, "user": None, "groups": None, "status": 0},
}


@pytest.fixture
def find(where):
    """Find the keys of rows by conditions."""
    ledger = open_ledger(where)
    ledger.commit(Change(rows=[Row(settle_key=k, start_ms=0, **row) for k, row in ROWS.items()]))
    ledger.close()

    def found(*conditions):
        with books.reading(where) as connection:
            source = sql.with_people(ENTRY, ENTRY, {each.dimension for each in conditions})
            holds = sql.hold(conditions, ENTRY, connection.dialect.name)
            query = select(ENTRY.c.settle_key).select_from(source).where(*holds)
            return "".join(sorted(connection.execute(query).scalars()))

    return found


def test_conditions(find):
    cases = [
        (("tenant", "acme"), "12", "34"),
        (("tenant", "acme", None), "124", "3"),
        (("tenant", None), "4", "123"),
        (("tenant",), "", "1234"),
        (("user", "alice"), "13", "24"),
        (("user", "alice", None), "134", "2"),
        (("group", "a"), "1", "234"),
        (("group", "ab"), "23", "14"),
        (("group", "A", "b"), "23", "14"),
        (("group", "%"), "", "1234"),
        (("group", None), "4", "123"),
        (("status", "200", "0"), "14", "23"),
        (("status", None), "3", "124"),
    ]
    for (name, *values), those, others in cases:
        assert find(Condition(name, tuple(values))) == those, (name, values)
        assert find(Condition(name, tuple(values), negated=True)) == others, (name, values)
    assert find(Condition("tenant", ("acme",)), Condition("user", ("alice",))) == "1"
    assert find(Condition("tenant", ("acme",)), Condition("tenant", ("globex",))) == ""
    assert find() == "1234"


def test_groups_are_stored_together():
    assert sql.stored("group") == "groups"
    assert sql.stored("tenant") == "tenant"
