"""A graph of neighbours finds what looking at all of them finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.cache.graph import Graph
from extproc.cache.nearest import Exact
from tests.extproc.cache.hearing import DIMS, vector


def slots(found):
    return [slot for slot, _ in found]


def test_while_there_are_few_it_is_exact():
    index = Graph(DIMS, few=10)
    for slot in range(10):
        index.put(slot, vector(slot))
    assert index._graph is None
    assert index.nearest(vector(3), 1) == [(3, pytest.approx(1))]


def test_they_move_step_by_step_and_are_found_meanwhile():
    index, seen = Graph(DIMS, few=20), set()
    for slot in range(60):
        index.put(slot, vector(slot))
        seen.add((index._exact is None, index._graph is None))
        for known in range(slot + 1):
            assert slots(index.nearest(vector(known), 1)) == [known]
    assert seen == {(False, True), (False, False), (True, False)}


def test_most_neighbours_are_the_right_ones():
    few, exact = Graph(DIMS, few=10), Exact(DIMS)
    for slot in range(2000):
        few.put(slot, vector(slot))
        exact.put(slot, vector(slot))
    right = 0
    for number in range(5000, 5050):
        asked = vector(number)
        right += len({*slots(few.nearest(asked, 10))} & {*slots(exact.nearest(asked, 10))})
    assert right / 500 > 0.97


DONE = st.lists(st.tuples(st.sampled_from(["put", "drop"]), st.integers(0, 30)), max_size=120)


@settings(max_examples=60, deadline=None)
@given(DONE)
def test_whatever_is_put_and_dropped(done):
    """Slots are counted up and used again, as the owner does."""
    index, kept, free, top = Graph(DIMS, few=5), {}, [], 0
    for number, (what, which) in enumerate(done):
        if what == "put":
            slot = free.pop() if free else which if which in kept else top
            top = max(top, slot + 1)
            kept[slot] = number
            index.put(slot, vector(number))
        elif which in kept:
            del kept[which]
            free.append(which)
            index.drop(which)
    for slot, number in kept.items():
        assert slots(index.nearest(vector(number), 1)) == [slot]
    found = index.nearest(np.ones(DIMS, np.float32) / 4, 50)
    assert {*slots(found)} <= kept.keys()
