"""What the contract in `test_store.py` does not ask: nobody changes this ledger from outside."""

import pytest

from ledger.journal import read_entry
from ledger.memory import MemoryLedger
from ledger.row import Row
from ledger.store import Change, Open
from tests.ledger.lines import entry

ROW = Row(settle_key="s1", start_ms=0)
OPEN = Open(read_entry(entry("s2")), 1.0)


@pytest.fixture
def ledger():
    ledger = MemoryLedger()
    ledger.commit(Change(rows=[ROW], opened={"s2": OPEN}, offsets={"a": 1}))
    return ledger


def test_it_begins_empty():
    ledger = MemoryLedger()
    assert ledger.all_rows() == ledger.open_requests() == ledger.offsets() == {}
    assert (ledger.entries(), ledger.position()) == ([], 0)


def test_all_rows_are_those_of_every_commit(ledger):
    second = Row(settle_key="s9", start_ms=1)
    ledger.commit(Change(rows=[second]))
    assert ledger.all_rows() == {"s1": ROW, "s9": second}


@pytest.mark.parametrize("read", ["all_rows", "open_requests", "offsets", "entries"])
def test_what_it_hands_out_is_a_copy(ledger, read):
    handed_out = getattr(ledger, read)()
    assert handed_out
    handed_out.clear()
    assert getattr(ledger, read)()


def test_what_it_was_given_may_change_later(ledger):
    """The settle process goes on with the very mappings that it committed."""
    opened, offsets = {"s3": OPEN}, {"b": 2}
    ledger.commit(Change(opened=opened, offsets=offsets))
    opened.clear()
    offsets["b"] = 7
    assert ledger.open_requests() == {"s2": OPEN, "s3": OPEN}
    assert ledger.offsets() == {"a": 1, "b": 2}
