"""How long counters remember."""

import time

import pytest

from extproc.limits.base import LONGEST_LEASE_S
from extproc.stores.counters_lives import EARLY_US, OPEN_US, SETTLED_US, lease_us, read_clock_us

SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("lease_s", "leased_s"), [(0.0, 0), (35.0, 35), (LONGEST_LEASE_S, 3600), (1e9, 3600)]
)
def test_nobody_holds_a_place_for_ever(lease_s, leased_s):
    assert lease_us(lease_s) == leased_s * SECOND_US


def test_a_request_can_be_settled_for_longer_than_anything_else_is_remembered():
    assert LONGEST_LEASE_S * SECOND_US <= EARLY_US < OPEN_US
    assert SETTLED_US < OPEN_US


def test_the_clock_counts_from_1970():
    assert abs(read_clock_us() / 1e6 - time.time()) < 5
