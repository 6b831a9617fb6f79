from collections import defaultdict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.booking import Books, book, people
from ledger.chain import Link, entry_hash
from ledger.row import Row
from ledger.store import Booked
from ledger.tables import AMOUNTS, ENTRY, FLAGS
from tests.ledger.books import COLUMNS, named, row

PSEUDONYMS = {("acme", "u1"): "u-1", ("acme", "u2"): "u-2", ("", "u1"): "u-3"}
BOOKS = Books(seq=7, booked_ms=100, chains={"acme": Link(3, b"h" * 32)}, pseudonyms=PSEUDONYMS)


def test_an_entry_has_the_columns_of_the_table():
    assert [
        *("seq", "settle_key", "revision", "requests", "booked_ms"),
        *Row.__struct_fields__[1:],
        *("chain_seq", "hash"),
    ] == COLUMNS
    assert {*AMOUNTS, *FLAGS} < set(COLUMNS)
    assert len(ENTRY.c) == len(COLUMNS)


def test_the_first_booking():
    booked = book([row()], {}, BOOKS, 200)
    (values,) = booked.entries
    entry = named(values)
    assert (entry["seq"], entry["revision"], entry["requests"], entry["booked_ms"]) == (
        8,
        0,
        1,
        200,
    )
    assert (entry["user"], entry["prompt_tokens"], entry["cut"]) == ("u-1", 7, 0)
    assert entry["chain_seq"] == 4
    assert entry["hash"] == entry_hash(b"h" * 32, values[:-1])
    assert booked.chains == {"acme": Link(4, entry["hash"])}
    assert booked.in_force == {"s1": Booked(row(), 0, "u-1")}


def test_each_entry_follows_the_one_before_in_its_chain():
    nobody = Row(settle_key="s3", start_ms=0)
    booked = book([row("s1"), nobody, row("s2")], {}, BOOKS, 0)
    first, other, second = map(named, booked.entries)
    assert [e["seq"] for e in (first, other, second)] == [8, 9, 10]
    assert [e["chain_seq"] for e in (first, other, second)] == [4, 1, 5]
    assert second["hash"] == entry_hash(first["hash"], booked.entries[2][:-1])
    assert other["hash"] == entry_hash(bytes(32), booked.entries[1][:-1])
    assert {chain: link.length for chain, link in booked.chains.items()} == {"acme": 5, "": 1}


def test_the_clock_never_goes_back():
    (values,) = book([row()], {}, BOOKS, 50).entries
    assert named(values)["booked_ms"] == 100


def test_a_correction_may_change_the_tenant_and_reverses_in_the_old_chain():
    before = Booked(msgspec.structs.replace(row(), tenant=None, unsettled=True), 2, "u-3")
    booked = book([row()], {"s1": before}, BOOKS, 0)
    reversal, new = map(named, booked.entries)
    assert (reversal["tenant"], reversal["user"], reversal["revision"]) == (None, "u-3", 3)
    assert (reversal["prompt_tokens"], reversal["unsettled"], reversal["requests"]) == (-7, -1, -1)
    assert (reversal["ttft_us"], reversal["status"]) == (120_000, 200)
    assert (new["tenant"], new["user"], new["revision"]) == ("acme", "u-1", 4)
    assert set(booked.chains) == {"", "acme"}


def test_whoever_is_booked_already_needs_no_new_pseudonym():
    before = {"s1": Booked(msgspec.structs.replace(row(), user="u-gone"), 0, "u-gone")}
    same = msgspec.structs.replace(row(), user="u-gone", model="other")
    assert people([same], before) == set()
    assert named(book([same], before, BOOKS, 0).entries[1])["user"] == "u-gone"
    assert people([row()], before) == {("acme", "u1")}
    assert people([row(), Row(settle_key="s2", start_ms=0)], {}) == {("acme", "u1")}


amounts = st.none() | st.integers(0, 2**40)
versions = st.builds(
    Row,
    settle_key=st.sampled_from(["s1", "s2"]),
    start_ms=st.just(0),
    tenant=st.sampled_from([None, "acme"]),
    user=st.none() | st.just("u1"),
    **dict.fromkeys(AMOUNTS, amounts),
    unsettled=st.booleans(),
    cut=st.booleans(),
)


@given(st.lists(versions, max_size=12))
def test_after_any_corrections_the_sums_are_those_in_force(rows):
    in_force, books, entries = {}, BOOKS, []
    for version in rows:
        booked = book([version], in_force, books, 0)
        in_force |= booked.in_force
        entries += booked.entries
        books = Books(
            books.seq + len(booked.entries), 0, {**books.chains, **booked.chains}, PSEUDONYMS
        )
    sums = defaultdict(int)
    for entry in map(named, entries):
        for name in ("requests", *AMOUNTS, *FLAGS):
            sums[entry["tenant"], name] += entry[name] or 0
    expected = defaultdict(int)
    for booked in in_force.values():
        for name in (*AMOUNTS, *FLAGS):
            expected[booked.row.tenant, name] += getattr(booked.row, name) or 0
        expected[booked.row.tenant, "requests"] += 1
    assert {k: v for k, v in sums.items() if v} == {k: v for k, v in expected.items() if v}
    assert len({(named(e)["settle_key"], named(e)["revision"]) for e in entries}) == len(entries)


def test_somebody_without_a_pseudonym_is_a_mistake():
    with pytest.raises(KeyError):
        book([msgspec.structs.replace(row(), user="stranger")], {}, BOOKS, 0)
