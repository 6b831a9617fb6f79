"""How bans grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.guards.base import Barred, Case, Growth

GROWTHS = st.builds(
    lambda first, factor, more: Growth(first, factor, first + more),
    st.integers(1, 10**6),
    st.floats(1, 100),
    st.integers(0, 10**6),
)


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 60), (2, 120), (3, 240), (11, 61440), (12, 86400), (10**9, 86400)]
)
def test_each_is_twice_as_long_up_to_a_day(times, seconds):
    assert Growth(60, 2, 86400).length_ms(times) == seconds * 1000


@given(GROWTHS, st.integers(1, 10**6))
def test_bans_never_shrink_and_keep_their_bounds(growth, times):
    length_ms, next_ms = growth.length_ms(times), growth.length_ms(times + 1)
    assert growth.first_s * 1000 <= length_ms <= next_ms <= growth.longest_s * 1000
    assert next_ms <= length_ms * growth.factor + growth.factor, "no step is larger than the factor"


@given(GROWTHS)
def test_the_first_is_as_long_as_it_is_said(growth):
    assert growth.length_ms(1) == growth.first_s * 1000


def test_a_subject_has_one_ban_of_a_kind():
    assert Case("key:a").name == "requests:key:a"
    assert Case("key:a", Barred.LONG_PROMPTS, "why").name == "long_prompts:key:a"
