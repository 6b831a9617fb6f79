"""Counts without their texts."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.counting.remembered import Remembered


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(), st.integers(0, 9)), max_size=60), st.integers(1, 20))
def test_it_stays_within_bounds_and_never_lies(puts, entries):
    cache, truth = Remembered(entries), {}
    for key, count in puts:
        cache.put(key, count)
        truth[key] = count
        assert cache.get(key) == count
        assert len(cache) <= max(entries, 2) + 1
    for key, count in truth.items():
        assert cache.get(key) in (None, count)


def test_what_is_in_use_stays():
    cache = Remembered(10)
    cache.put(-1, 7)
    for key in range(1000):
        cache.put(key, key)
        assert cache.get(-1) == 7
    assert cache.get(0) is None


def test_an_entry_is_as_large_as_documented():
    cache = Remembered(2_000)
    for key in range(1_000):
        cache.put(hash(("text", key)), key)
    young = cache._young
    size = sys.getsizeof(young) + sum(map(sys.getsizeof, (*young, *young.values())))
    assert size / len(young) <= 120
