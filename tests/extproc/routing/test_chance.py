"""Chance that all agree on."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.chance import draw, share, two_of


def test_known_answers():
    """Gateways of two versions agree while these stay."""
    assert draw("k1") == draw("k1", "")
    assert draw("k1", "a") != draw("k1", "b") != draw("k2", "b")
    assert draw("k1", "order") == 11084858348672887650


@given(st.text(), st.text())
def test_shares(key, what):
    assert 0.0 <= share(key, what) < 1.0
    assert 0 <= draw(key, what) < 2**64


@given(st.text(), st.integers(2, 1000))
def test_two_are_never_the_same(key, count):
    one, other = two_of(key, count)
    assert one != other
    assert {one, other} <= set(range(count))


def test_pairs_are_spread():
    pairs = Counter(frozenset(two_of(f"k{number}", 4)) for number in range(6000))
    assert len(pairs) == 6
    assert all(800 < count < 1200 for count in pairs.values())
