import pytest
from sqlalchemy import text

from ledger.compare import compare
from ledger.database import open_database
from ledger.sql import open_ledger
from ledger.store import Change
from tests.ledger import books
from tests.ledger.lines import START_MS

HOUR_MS = 3_600_000


@pytest.fixture
def ledger(where):
    ledger = open_ledger(where)
    for n in range(4):
        rows = [books.row(f"s{n}"), books.row(f"t{n}", tenant=("globex", None)[n % 2])]
        ledger.commit(Change(rows=rows))
    late = books.row("late")
    ledger.commit(Change(rows=[type(late)(settle_key="late", start_ms=START_MS + 30 * HOUR_MS)]))
    ledger.commit(Change(rows=[books.row(model="x")], replaced=ledger.rows(["s1"])))
    yield ledger
    ledger.close()


def faults(where, progress=lambda _: None):
    with books.reading(where) as connection:
        return list(compare(connection, {}, progress))


def change(where, statement):
    database = open_database(where, writes=True)
    with database.transaction() as connection:
        connection.execute(text(statement))
    database.close()


def test_the_writers_sums_are_those_of_the_entries(ledger, where):
    told = []
    assert faults(where, told.append) == []
    assert told == [10, 1]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE usage_quarter SET requests = requests + 1 WHERE key = 1", "requests is"),
        ("UPDATE usage_quarter SET own_pusd = 5", "own_pusd is 5, its entries make 0"),
        ("UPDATE usage_quarter SET bucket_ms = bucket_ms + 900000", "its entries make"),
        ("UPDATE usage_key SET model = 'better'", "not what its digest says"),
        ("UPDATE usage_key SET tenant = 'acme' WHERE tenant IS NULL", "not what its digest says"),
        ("DELETE FROM usage_quarter WHERE key = 1", "its entries make"),
        ("DELETE FROM usage_key WHERE id = 1", "its entries make"),
        ("UPDATE usage_quarter SET ttft = NULL", "ttft is not that of its entries"),
    ],
)
def test_sums_that_were_changed(ledger, where, statement, what):
    change(where, statement)
    found = faults(where)
    assert any(what in fault.what for fault in found)


def test_a_histogram_that_is_none(ledger, tmp_path, where):
    blob = "x'00'" if where == tmp_path / "ledger.sqlite" else "'\\x00'"
    change(where, f"UPDATE usage_quarter SET ttft = {blob}")
    assert any("ttft is no histogram" in fault.what for fault in faults(where))


def test_a_fault_says_what_and_when(ledger, where):
    change(where, "UPDATE usage_quarter SET requests = 7 WHERE requests = 1 AND cut = 0")
    first = next(fault for fault in faults(where) if fault.chain == "acme")
    assert "sums of 2025-10-09T08:45+00:00" in first.what
    assert "tenant='acme'" in first.what
