"""In turn, the next in line for retries."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.candidate import TRIES
from extproc.routing.pickers.round_robin import RoundRobin
from tests.extproc.routing.candidates import NOW, asked, several


def test_each_in_turn_with_the_next_ones_behind():
    picker, candidates = RoundRobin(), several(6)
    names = [each.endpoint for each in candidates]
    chosen = [picker.choose(asked(number), candidates, NOW).endpoints for number in range(12)]
    start = names.index(chosen[0][0])
    circle = names * 4
    assert chosen == [
        tuple(circle[start + number : start + number + TRIES]) for number in range(12)
    ]


def test_workers_do_not_all_begin_at_the_same_one():
    begun = {RoundRobin().choose(asked(n), several(8), NOW).endpoints[0] for n in range(40)}
    assert len(begun) > 4


@given(st.integers(1, 9), st.integers(1, 5))
def test_everyone_is_first_equally_often(count, rounds):
    picker, candidates = RoundRobin(), several(count)
    first = Counter(
        picker.choose(asked(number), candidates, NOW).endpoints[0]
        for number in range(rounds * count)
    )
    assert set(first.values()) == {rounds}


def test_it_says_whose_turn_it_is():
    picker, candidates = RoundRobin(), several(5)
    picker.choose(asked(), candidates, NOW)
    said = picker.explain(asked(), candidates, NOW)
    assert said[0].endpoint == picker.choose(asked(), candidates, NOW).endpoints[0]
