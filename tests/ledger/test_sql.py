"""What the contract in test_store.py does not ask of a ledger in a database."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ledger.rollup import add_up, read_histogram
from ledger.row import Row
from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import CHAIN, SUBJECT
from tests.ledger import books


def test_what_is_committed_survives(where):
    first = open_ledger(where)
    first.commit(Change(rows=books.rows(3), offsets={"a": 5}))
    first.close()
    second = open_ledger(where)
    assert set(second.rows(["s0", "s1", "s2"])) == {"s0", "s1", "s2"}
    assert (second.offsets(), second.position()) == ({"a": 5}, 1)
    second.close()


def test_a_new_writer_goes_on_where_the_last_one_was(where):
    for key in ("s1", "s2", "s3"):
        ledger = open_ledger(where)
        ledger.commit(Change(rows=[books.row(key)], booked_ms=int(key[1])))
        ledger.close()
    found = [books.named(entry) for entry in books.entries(where)]
    assert [e["seq"] for e in found] == [e["chain_seq"] for e in found] == [1, 2, 3]
    assert len({e["user"] for e in found}) == 1
    ((tenant, length, head, *begin),) = books.query(where, select(CHAIN))
    assert (tenant, length, head, begin) == ("acme", 3, found[-1]["hash"], [0, None, 0, None])


BROKEN = {
    "a row": Change(rows=[*books.rows(1), Row(settle_key=None, start_ms=0, user="u1")]),
    "what comes behind the rows": Change(rows=[books.row("s2")], offsets={"a": None}),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_what_breaks_a_rule_is_not_called_unavailable_and_leaves_no_trace(where, change):
    ledger = open_ledger(where)
    with pytest.raises(IntegrityError):
        ledger.commit(change)
    ledger.commit(Change(rows=[books.row()]))
    ledger.close()
    assert [books.named(entry)["seq"] for entry in books.entries(where)] == [1]
    assert [name for _, _, name in books.query(where, select(SUBJECT))] == ["u1"]
    assert len(books.usage(where)) == 1


WORDS = st.sampled_from([None, "a", "b"])
versions = st.builds(
    Row,
    settle_key=st.sampled_from([f"s{n}" for n in range(6)]),
    start_ms=st.integers(0, 3).map(lambda quarter: quarter * 900_000 + 5),
    tenant=WORDS,
    user=WORDS,
    model=WORDS,
    status=st.sampled_from([None, 200, 404]),
    deny_reason=st.sampled_from([None, "d"]),
    ttft_us=st.none() | st.integers(0, 10**7),
    prompt_tokens=st.none() | st.integers(0, 100),
    uncached_pusd=st.none() | st.integers(0, 2**40),
    unsettled=st.booleans(),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(versions, max_size=5, unique_by=lambda row: row.settle_key), max_size=6))
def test_sums_are_those_of_the_entries_and_the_view_is_what_is_in_force(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("sql") / "ledger.sqlite"
    ledger = open_ledger(path)
    in_force = {}
    for nth, batch in enumerate(batches):
        if nth % 3 == 2:
            ledger.close()
            ledger = open_ledger(path)
        ledger.commit(Change(rows=batch, replaced=ledger.rows([row.settle_key for row in batch])))
        in_force |= {row.settle_key: row for row in batch}
        assert {k: b.row for k, b in ledger.rows(in_force).items()} == in_force
    ledger.close()
    expected = add_up(books.entries(path))
    stored = books.usage(path)
    assert stored.keys() == expected.keys()
    for key, (sums, packed) in stored.items():
        assert sums == expected[key].sums
        histogram = {slot: count for slot, count in expected[key].ttft.items() if count}
        assert read_histogram(packed) == histogram
