"""Sums of what was deleted are written in one way only, and read back exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict
from sqlalchemy import select

from ledger.sql import open_ledger
from ledger.store import Change
from ledger.tables import ENTRY, USAGE_QUARTER
from ledger.trimmed import NOTHING, SUMMED, Trimmed, read_sums, read_trimmed, sums, write_trimmed
from tests.ledger import books

NUMBERS = st.lists(st.integers(-(2**90), 2**90), min_size=7, max_size=7)


def test_its_fields_are_those_that_are_summed():
    assert Trimmed.__struct_fields__ == SUMMED


@given(NUMBERS, NUMBERS)
def test_numbers_beyond_64_bits_are_added_and_read_back(some, others):
    trimmed = Trimmed(*some) + Trimmed(*others)
    assert list(asdict(trimmed).values()) == [a + b for a, b in zip(some, others, strict=True)]
    assert read_trimmed(write_trimmed(trimmed)) == trimmed


def test_what_is_written_another_way_is_not_what_was_written():
    written = write_trimmed(NOTHING)
    for other in ("", "[]", written.replace("0", "0.5"), written.replace(",", ", "), written + " "):
        with pytest.raises(ValueError, match=r"JSON|Expected|canonical|truncated"):
            read_trimmed(other)


def test_entries_and_their_sums_say_the_same(where):
    ledger = open_ledger(where)
    ledger.commit(Change(rows=[books.row("s1"), books.row("s2", price=None), books.row("s3")]))
    late = books.row("s1", price="9/9/9")
    ledger.commit(Change(rows=[late], replaced=ledger.rows(["s1"])))
    ledger.close()
    found = [
        read_sums(books.query(where, select(*sums(table)))[0]) for table in (ENTRY, USAGE_QUARTER)
    ]
    cost = 45_000_000 + 750_000, 18_000_000 + 150_000, 45_000_000 + 3_000_000
    assert found == [Trimmed(3, 21, 15, 6, *cost)] * 2


def test_no_rows_are_nothing(where):
    open_ledger(where).close()
    assert read_sums(books.query(where, select(*sums(ENTRY)))[0]) == NOTHING
