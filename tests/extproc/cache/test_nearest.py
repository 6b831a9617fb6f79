"""All vectors are looked at."""

import pytest

from extproc.cache.nearest import Exact
from tests.extproc.cache.hearing import DIMS, vector


def test_the_nearest_come_first():
    index = Exact(DIMS)
    for slot in range(40):
        index.put(slot, vector(slot))
    found = index.nearest(vector(7), 5)
    assert found[0] == (7, pytest.approx(1))
    right = sorted(
        ((slot, float(vector(slot) @ vector(7))) for slot in range(40)), key=lambda p: -p[1]
    )
    assert [slot for slot, _ in found] == [slot for slot, _ in right[:5]]


def test_nothing_opposite_and_nothing_that_is_gone():
    index = Exact(DIMS)
    assert index.nearest(vector(1), 3) == []
    index.put(0, vector(1))
    index.put(1, -vector(1))
    assert [slot for slot, _ in index.nearest(vector(1), 3)] == [0]
    index.drop(0)
    assert index.nearest(vector(1), 3) == []
    index.put(0, vector(2))
    assert index.nearest(vector(2), 1) == [(0, pytest.approx(1))]
