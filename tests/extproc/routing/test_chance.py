"""Chance that all agree on."""

from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.chance import draw, share


def test_known_answers():
    """Gateways of two versions agree while these stay."""
    assert draw("k1") == draw("k1", "")
    assert draw("k1", "a") != draw("k1", "b") != draw("k2", "b")
    assert draw("k1", "order") == 11084858348672887650


@given(st.text(), st.text())
def test_shares(key, what):
    assert 0.0 <= share(key, what) < 1.0
    assert 0 <= draw(key, what) < 2**64
