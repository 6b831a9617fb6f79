"""Looking takes no more than its share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.watch.pace import BUDGET, FAST_S, SLOW_S, Pace


@pytest.mark.parametrize(
    ("share", "before", "after"),
    [
        (0.10, FAST_S, FAST_S),
        (BUDGET, FAST_S, FAST_S),
        (0.26, FAST_S, 0.25),
        (0.50, FAST_S, 0.40),
        (9.00, FAST_S, SLOW_S),
        (0.22, 0.40, 0.40),
        (0.10, 0.40, 0.32),
        (0.00, 0.21, FAST_S),
    ],
)
def test_one_step(share, before, after):
    pace = Pace(before)
    pace.spent(share)
    assert pace.interval_s == pytest.approx(after)
    assert pace.is_full == (after == FAST_S)


@given(st.floats(0.0001, 0.0006), st.floats(0.0, 0.1))
def test_it_settles_within_the_budget_or_at_the_slowest(look_s, rest):
    """500 endpoints, each look at that cost, and what the process spends on other things."""
    pace = Pace()
    shares = []
    for _ in range(30):
        shares.append(500 / pace.interval_s * look_s + rest)
        pace.spent(shares[-1])
    assert all(share <= BUDGET * 1.3 for share in shares[10:]) or pace.interval_s == SLOW_S
    assert FAST_S <= pace.interval_s <= SLOW_S
