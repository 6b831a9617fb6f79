"""What can be relied on, whom there is, in which order."""

from collections import Counter

import pytest

from extproc.routing.candidate import TRIES
from extproc.routing.ladder import admit, count_requests, find_rung, line_up, order
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import NOW, asked, candidate, several


@pytest.mark.parametrize(
    ("ages_s", "rung"),
    [
        ([0.1], "predicted"),
        ([1.0], "predicted"),
        ([1.1], "in_flight"),
        ([10.1], "hash"),
        ([0.1, 99.0], "predicted"),
        ([0.1, 99.0, 99.0], "hash"),
        ([0.1, 5.0, 99.0], "in_flight"),
        ([float("inf")], "hash"),
    ],
)
def test_rungs(ages_s, rung):
    candidates = [candidate(f"{n}:1", age_s=age_s) for n, age_s in enumerate(ages_s)]
    assert find_rung(candidates, NOW, DEFAULTS) == rung


def test_requests():
    each = candidate(running=2, waiting=3, unseen=4, in_flight=7)
    assert count_requests(each, NOW - 1) == 9
    assert count_requests(each, NOW) == 7


def test_warm_ones_are_all_admitted():
    candidates = several(3)
    assert admit(asked(), candidates) is candidates


def test_a_cold_one_is_admitted_as_often_as_it_is_warm():
    candidates = [*several(2), candidate("c:1", warmth=0.3)]
    admitted = Counter(len(admit(asked(number), candidates)) for number in range(1000))
    assert 230 < admitted[3] < 370
    assert admitted[2] + admitted[3] == 1000


def test_order_is_by_cost_and_ties_by_key():
    assert order("k", [3.0, 1.0, 2.0, 5.0, 4.0]) == [1, 2, 0, 4]
    first = Counter(order(f"k{number}", [1.0] * 5)[0] for number in range(500))
    assert len(first) == 5
    assert min(first.values()) > 60
    assert order("k", [1.0] * 9) == order("k", [1.0] * 9)


def test_a_line_is_filled_up():
    candidates = several(6)
    names = [each.endpoint for each in candidates]
    assert line_up(names[2:3] * 2, candidates[:3], candidates) == (names[2], *names[:2], names[3])
    assert line_up(names, candidates, candidates) == tuple(names[:TRIES])
    assert line_up([], candidates[:1], candidates[:1]) == (names[0],)
