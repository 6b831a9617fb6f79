"""Chance alone."""

from collections import Counter

from extproc.routing.pickers.at_random import Random
from tests.extproc.routing.candidates import NOW, asked, several


def test_nothing_but_chance():
    candidates = several(4)
    candidates[0].in_flight = 10**6
    chosen = Counter(
        Random().choose(asked(number), candidates, NOW).endpoints[0] for number in range(800)
    )
    assert all(140 < count < 260 for count in chosen.values())


def test_it_explains_the_order_it_draws():
    choice = Random().choose(asked(), several(6), NOW)
    said = Random().explain(asked(), several(6), NOW)
    assert tuple(each.endpoint for each in said[:4]) == choice.endpoints
