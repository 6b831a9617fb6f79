"""Slow start: from a little to all, never backwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.warmth import WarmthRules, warmth


@pytest.mark.parametrize(
    ("age_s", "warm"), [(-5, 0.1), (0, 0.1), (15, 0.55), (30, 1.0), (1e9, 1.0)]
)
def test_defaults(age_s, warm):
    assert warmth(age_s, WarmthRules()) == pytest.approx(warm)


def test_none_is_at_once():
    assert warmth(0.0, WarmthRules(over_s=0.0)) == 1.0


@given(
    st.lists(st.floats(-10, 1e6), min_size=2),
    st.floats(0.01, 1),
    st.floats(0, 3600),
)
def test_it_only_grows_and_stays_in_bounds(ages, least, over_s):
    rules = WarmthRules(least, over_s)
    warm = [warmth(age, rules) for age in sorted(ages)]
    assert warm == sorted(warm)
    assert all(least <= each <= 1.0 for each in warm)
