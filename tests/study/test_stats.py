import math

import pytest

from study.stats import change, interval, percentile


def test_an_interval_of_ten_seeds():
    """By hand: mean 5.5, s = 3.0277, t(9) = 2.262."""
    found = interval([float(value) for value in range(1, 11)])
    assert found.mean == 5.5
    assert found.half == pytest.approx(2.262 * 3.02765 / math.sqrt(10), rel=1e-4)
    assert (found.low, found.high) == (found.mean - found.half, found.mean + found.half)


def test_one_seed_says_nothing_of_others():
    assert interval([3.0]).half == math.inf
    assert change([1.0], [2.0]).mean == pytest.approx(-0.5)


def test_a_change_is_of_pairs():
    """Seeds that differ by a hundred times, and a picker that is a fifth better on each."""
    before = [1.0, 10.0, 100.0]
    found = change([0.8 * each for each in before], before)
    assert found.mean == pytest.approx(-0.2)
    assert found.half == pytest.approx(0, abs=1e-9)


def test_percentiles_were_measured():
    ordered = [float(value) for value in range(1, 101)]
    assert [percentile(ordered, share) for share in (0.0, 0.5, 0.95, 1.0)] == [1, 50, 95, 100]
