"""Nothing is lost or won by rounding."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from extproc.limits.base import LARGEST
from extproc.limits.rate import Rate, make_rate

RATES = st.builds(make_rate, st.integers(1, 10**9), st.sampled_from([1, 7, 60, 3600, 86_400]))
TIMES = st.integers(0, 10**13)


def exact(rate, elapsed_us):
    return Fraction(elapsed_us // rate.tick_us * rate.amount, rate.ticks)


@settings(deadline=None)
@given(RATES, TIMES)
def test_what_comes_in_a_time(rate, elapsed_us):
    assert rate.count(elapsed_us) == floor(exact(rate, elapsed_us))
    up = Fraction(-(-elapsed_us // rate.tick_us) * rate.amount, rate.ticks)
    assert rate.count_up(elapsed_us) == ceil(up)


@settings(deadline=None)
@given(RATES, st.integers(1, 10**9))
def test_the_time_for_an_amount_is_the_least(rate, amount):
    time_us = rate.time_us(amount)
    assume(time_us < LARGEST)
    assert rate.count(time_us) >= amount
    assert rate.count(time_us - 1) < amount


@pytest.mark.parametrize(
    ("amount", "period_s", "rate"),
    [
        (1000, 60, Rate(1, 60_000, 1)),
        (10_000, 1, Rate(1, 100, 1)),
        (1, 86_400, Rate(1, 86_400_000_000, 1)),
        (3_000_000_000, 1, Rate(3000, 1, 1)),
        (123_456_789, 86_400, Rate(13_717_421, 96_000_000, 100)),
    ],
)
def test_the_finest_tick_that_is_exact(amount, period_s, rate):
    assert make_rate(amount, period_s) == rate


@settings(deadline=None)
@given(st.integers(1, 10**15), st.integers(1, 31 * 86_400))
def test_no_product_is_too_large_for_lua(amount, period_s):
    try:
        rate = make_rate(amount, period_s)
    except ValueError as fault:
        assert "rounder" in str(fault)  # noqa: PT017 - most amounts do not raise
    else:
        assert rate.amount * rate.ticks < LARGEST / 2
        assert Fraction(rate.amount, rate.ticks * rate.tick_us) == Fraction(
            amount, period_s * 10**6
        )


def test_an_amount_that_cannot_be_counted_exactly():
    with pytest.raises(ValueError, match="rounder number"):
        make_rate(999_999_999_999_989, 86_400)


def test_a_time_longer_than_can_be_told():
    assert Rate(1, 86_400_000_000, 1).time_us(LARGEST) == LARGEST
