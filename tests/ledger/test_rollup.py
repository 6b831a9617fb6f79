import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.booking import Books, book
from ledger.rollup import (
    SUMS,
    Tally,
    add_up,
    digest,
    merge,
    merge_histogram,
    middle_of,
    pack_histogram,
    quantile,
    read_histogram,
    read_histograms,
    slot_of,
)
from ledger.row import Row
from ledger.tables import DIMENSIONS, QUARTER_MS
from tests.ledger.books import row

BOOKS = Books(seq=0, booked_ms=0, chains={}, pseudonyms={("acme", "u1"): "u-1"})


def booked(*rows):
    return book(rows, {}, BOOKS, 0).entries


def test_entries_of_one_combination_and_quarter_are_one_tally():
    base = row()
    later = msgspec.structs.replace(base, settle_key="s2", start_ms=base.start_ms + QUARTER_MS)
    other = msgspec.structs.replace(base, settle_key="s3", model="other")
    same = msgspec.structs.replace(base, settle_key="s4")
    tallies = add_up(booked(base, later, other, same))
    assert len(tallies) == 3
    ((dimensions, bucket_ms), tally) = next(iter(tallies.items()))
    said = dict(zip(DIMENSIONS, dimensions, strict=True))
    assert (said["tenant"], said["user"], said["status"]) == ("acme", "u-1", 200)
    assert bucket_ms == base.start_ms - base.start_ms % QUARTER_MS
    sums = dict(zip(SUMS, tally.sums, strict=True))
    assert (sums["requests"], sums["prompt_tokens"], sums["denied"]) == (2, 14, 0)
    assert sums["uncached_pusd"] == 2 * 5 * 150_000
    assert tally.ttft == {slot_of(120_000): 2}


def test_a_reversal_takes_away_what_was_added():
    first = book([row()], {}, BOOKS, 0)
    second = book([row(model="other")], first.in_force, BOOKS, 0)
    wrong, right = add_up([*first.entries, *second.entries]).values()
    assert not any(wrong.sums)
    assert wrong.ttft == {slot_of(120_000): 0}
    assert right == next(iter(add_up(booked(row(model="other"))).values()))


def test_what_is_counted_beside_amounts():
    rows = (
        row(deny="invalid_api_key"),
        Row(settle_key="s2", start_ms=-1, tenant="acme", unsettled=True, ttft_us=5),
        Row(settle_key="s3", start_ms=-1, tenant="acme", estimated=True, cut=True),
    )
    refused, unsettled, cut = (
        dict(zip(SUMS, tally.sums, strict=True))
        for tally in [t for r in rows for t in add_up(booked(r)).values()]
    )
    assert (refused["denied"], refused["unpriced"]) == (1, 0)
    assert (unsettled["unsettled"], unsettled["unpriced"], unsettled["denied"]) == (1, 1, 0)
    assert (cut["estimated"], cut["cut"]) == (1, 1)
    assert [t.ttft for t in add_up(booked(*rows[1:])).values()] == [{}]


def test_a_start_before_1970_has_its_quarter_too():
    ((_, bucket_ms),) = add_up(booked(Row(settle_key="s", start_ms=-1)))
    assert bucket_ms == -QUARTER_MS


def test_tallies_add_up():
    one, two = booked(row("s1")), booked(row("s2"), row("s3", model="other"))
    merged = add_up(one)
    merge(merged, add_up(two))
    assert merged == add_up([*one, *two])


def test_unknown_dimensions_have_digests_of_their_own():
    assert len({digest((None, "a")), digest(("a", None)), digest(("", "a")), digest(("a", 1))}) == 4


@given(st.integers(0, 2**53))
def test_a_slot_is_near_its_values(us):
    slot = slot_of(us)
    assert slot < 2**16
    assert abs(middle_of(slot) - us) <= us / 32
    assert slot_of(middle_of(slot)) == slot
    assert slot_of(us + 1) in (slot, slot + 1)


@given(st.dictionaries(st.integers(0, 900), st.integers(0, 2**32 - 1)))
def test_a_histogram_survives_packing(histogram):
    packed = pack_histogram(histogram)
    assert read_histogram(packed) == {s: n for s, n in histogram.items() if n}
    assert len(packed) % 6 == 0


def test_no_histogram_is_an_empty_one():
    assert read_histogram(None) == read_histogram(b"") == {}
    assert quantile({}, 0.5) is None


@given(
    values=st.lists(st.integers(0, 10**8), min_size=1, max_size=80),
    share=st.sampled_from([0.01, 0.5, 0.95, 1.0]),
)
def test_quantiles_are_near_the_nearest_rank(values, share):
    histogram = {}
    for value in values:
        merge_histogram(histogram, {slot_of(value): 1})
    exact = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    assert quantile(histogram, share) == pytest.approx(exact, rel=1 / 32)


def test_a_new_tally_is_nothing():
    assert Tally().sums == [0] * len(SUMS)


@given(st.lists(st.dictionaries(st.integers(0, 600), st.integers(1, 2**31)), max_size=5))
def test_histograms_behind_each_other_add_up(histograms):
    expected = {}
    for histogram in histograms:
        merge_histogram(expected, histogram)
    assert read_histograms(b"".join(map(pack_histogram, histograms))) == expected
