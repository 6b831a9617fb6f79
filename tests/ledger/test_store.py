"""One contract, every ledger."""

import pytest

from ledger.journal import read_entry
from ledger.memory import MemoryLedger
from ledger.row import Row, close, give_up
from ledger.sighting import Origin
from ledger.sqlite import SqliteLedger
from ledger.store import Change, Open
from ledger.witness import read_line
from tests.ledger.lines import START_MS, anonymous, end, entry, periodic


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request, tmp_path):
    ledger = MemoryLedger() if request.param == "memory" else SqliteLedger(tmp_path / "l.sqlite")
    yield ledger
    ledger.close()


def row(line=None, key="s1"):
    return close(Origin(), read_line(line or end(key), "f:0", START_MS))


def test_rows_come_back_as_they_were(ledger):
    rows = {
        r.settle_key: r
        for r in (
            row(),
            row(anonymous()),
            row(end("s2", status=0, flags="DC", usage=None)),
            give_up(Origin(), read_entry(entry("s3"))),
            Row(settle_key="s4", start_ms=0, request_id="\0 '\" é", prompt_tokens=2**53),
        )
    }
    ledger.commit(Change(rows=rows.values()))
    assert ledger.rows([*rows, "s9"]) == rows
    assert ledger.rows(()) == {}


def test_a_row_with_a_known_key_replaces_it(ledger):
    ledger.commit(Change(rows=[give_up(Origin(), read_entry(entry()))]))
    ledger.commit(Change(rows=[row()]))
    assert ledger.rows(["s1"]) == {"s1": row()}


def test_open_requests_and_offsets(ledger):
    departed = Open(read_entry(entry("s1")), 17.5)
    renewed = Open(read_line(periodic("s2"), "f:0", START_MS), 18.5)
    ledger.commit(Change(opened={"s1": departed, "s2": departed}, offsets={"a": 1, "b": 2}))
    ledger.commit(Change(opened={"s2": renewed}, offsets={"a": 3}))
    assert ledger.open_requests() == {"s1": departed, "s2": renewed}
    assert ledger.offsets() == {"a": 3, "b": 2}
    ledger.commit(Change(closed=["s1", "unheard of"], forgotten=["b", "unheard of"]))
    assert ledger.open_requests() == {"s2": renewed}
    assert ledger.offsets() == {"a": 3}


def test_one_commit_closes_before_it_opens_and_forgets_last(ledger):
    """The settle process never asks for both at once; if it did, no request would be lost."""
    opened = Open(read_entry(entry("s1")), 1.0)
    change = Change(opened={"s1": opened}, closed=["s1"], offsets={"a": 1, "b": 2}, forgotten=["b"])
    ledger.commit(change)
    assert ledger.open_requests() == {"s1": opened}
    assert ledger.offsets() == {"a": 1}
