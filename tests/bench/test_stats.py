import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats import median, median_added, median_ratio, percentile

NUMBERS = st.lists(st.integers(0, 10_000), min_size=1)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([7], 0.5, 7),
        ([7], 0.99, 7),
        ([1, 2, 3, 4], 0.5, 2),
        ([1, 2, 3, 4], 0.51, 3),
        (list(range(1, 101)), 0.95, 95),
        (list(range(1, 101)), 0.99, 99),
        (list(range(1, 101)), 1.0, 100),
        ([3, 9], 0.0, 3),
    ],
)
def test_percentiles_are_nearest_ranks(values, share, wanted):
    assert percentile(values, share) == wanted


@given(NUMBERS, st.floats(0, 1))
def test_a_percentile_was_measured_and_is_not_exceeded_by_its_share(values, share):
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    # Half an element of tolerance for the rounding of `share` times the length.
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 0.5


@pytest.mark.parametrize(
    ("values", "wanted"), [([5], 5), ([9, 1, 5], 5), ([1, 9], 5), ([4, 1, 3, 2], 2.5)]
)
def test_the_median_is_in_the_middle(values, wanted):
    assert median(values) == wanted


def test_a_slow_round_cancels_out():
    steady, drifting = [10, 10, 10], [10, 30, 1000]
    assert median_ratio([2 * each for each in drifting], drifting) == 2
    assert median_added([each + 7 for each in drifting], drifting) == 7
    assert median_ratio(drifting, steady) == 3


def test_rounds_must_match():
    with pytest.raises(ValueError, match="longer"):
        median_ratio([1, 2], [1, 2, 3])
