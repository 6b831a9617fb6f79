"""The hash ring: all agree, few move, none is overrun."""

from collections import Counter
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.ring import FACTOR, PATIENCE, Ring

TEN = [f"10.0.0.{number}:8000" for number in range(10)]
CHANCE = Random(7)
KEYS = [CHANCE.getrandbits(64) for _ in range(4000)]


def ring_of(endpoints, **settings):
    ring = Ring(**settings)
    ring.keep(endpoints)
    return ring


def owners(ring, among):
    return [ring.find(key, among, lambda _: 0.0, 0.0) for key in KEYS]


def test_the_order_in_which_endpoints_came_does_not_matter():
    assert owners(ring_of(TEN), TEN) == owners(ring_of(TEN[::-1]), TEN)
    grown = Ring()
    for count in range(1, 11):
        grown.keep(TEN[:count])
    assert owners(grown, TEN) == owners(ring_of(TEN), TEN)


def test_shares_are_about_equal():
    counts = Counter(owners(ring_of(TEN), TEN))
    assert all(0.7 < count / (len(KEYS) / 10) < 1.3 for count in counts.values())


def test_only_the_keys_of_one_that_leaves_move():
    ring, left = ring_of(TEN), TEN[1:]
    before, after = owners(ring, TEN), owners(ring, left)
    assert all(b == a or b == TEN[0] for b, a in zip(before, after, strict=True))
    assert owners(ring_of(left), left) == after, "stepped over or not there is the same"


def test_only_the_keys_of_one_that_joins_move():
    before, after = owners(ring_of(TEN[1:]), TEN[1:]), owners(ring_of(TEN), TEN)
    moved = [(b, a) for b, a in zip(before, after, strict=True) if b != a]
    assert {a for _, a in moved} == {TEN[0]}
    assert len(moved) < 0.15 * len(KEYS)


def test_a_walk_meets_everybody_once():
    ring = ring_of(TEN)
    for key in (0, 2**64 - 1, 2**64, -1, KEYS[0]):
        assert sorted(ring.walk(key)) == TEN


def test_one_that_is_full_is_stepped_over():
    ring = ring_of(TEN)
    first, second, *_ = ring.walk(1)
    loads = dict.fromkeys(TEN, 1.0) | {first: 9.0}
    assert ring.find(1, loads, loads.__getitem__, sum(loads.values())) == second


def test_nobody_there():
    assert ring_of(TEN).find(1, [], lambda _: 0.0, 0.0) is None
    assert Ring().find(1, TEN, lambda _: 0.0, 0.0) is None


def test_it_forgets_in_the_end():
    ring = ring_of(TEN)
    for _ in range(PATIENCE + 1):
        ring.keep(TEN[:5])
    assert len(set(ring.walk(1))) == 10
    for _ in range(PATIENCE):
        ring.keep(TEN[:4])
    assert len(set(ring.walk(1))) == 10
    ring.keep(TEN[:4])
    assert sorted(ring.walk(1)) == TEN[:4]
    ring.keep(["x:1", "y:1"])
    assert sorted(set(ring.walk(1)) & {"x:1", "y:1"}) == ["x:1", "y:1"]


def test_new_ones_are_forgotten_as_well_however_many_come():
    ring = Ring(places=4)
    for number in range(3 * PATIENCE):
        ring.keep([f"e{number}:1", f"e{number + 1}:1"])
    assert len(set(ring.walk(1))) <= PATIENCE + 4


def test_choices_among_ever_others_make_no_places_anew():
    """As long as a pool that has more than doubled warms up, each choice is among a few of them."""

    class Counted(Ring):
        builds = 0

        def _build(self, wanted):
            self.builds += 1
            super()._build(wanted)

    ring = Counted()
    ring.keep(TEN)
    for number in range(20):
        ring.keep(TEN[:3])
        ring.keep([TEN[number % 10]])
    assert ring.builds == 1


@given(
    st.integers(1, 20),
    st.lists(st.integers(0, 3), min_size=1, max_size=300),
    st.sampled_from([1.1, FACTOR, 2.0]),
)
def test_no_endpoint_gets_more_than_its_bound(count, popular, factor):
    """However popular a key is."""
    endpoints = [f"e{number}:1" for number in range(count)]
    ring = ring_of(endpoints, factor=factor, places=16)
    loads = dict.fromkeys(endpoints, 0)
    for number, key in enumerate(popular):
        chosen = ring.find(key, loads, loads.__getitem__, number)
        loads[chosen] += 1
        assert loads[chosen] <= ceil((number + 1) / count * factor)


@pytest.mark.parametrize("places", [1, 256])
def test_a_popular_key_stays_at_home_while_there_is_room(places):
    ring = ring_of(TEN, places=places)
    loads = dict.fromkeys(TEN, 10.0)
    home = next(iter(ring.walk(5)))
    assert ring.find(5, loads, loads.__getitem__, 100.0) == home
