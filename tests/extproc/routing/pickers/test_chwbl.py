"""Consistent hashing with bounded loads."""

from collections import Counter

import msgspec

from extproc.routing.chance import draw
from extproc.routing.pickers.chwbl import Chwbl
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import NOW, asked, candidate, several


def first(picker, candidates, **members):
    return picker.choose(asked(**members), candidates, NOW).endpoints[0]


def test_the_same_beginning_goes_to_the_same_endpoint():
    picker, candidates = Chwbl(DEFAULTS), several(8)
    for number in range(30):
        block = draw(str(number))
        where = {first(picker, candidates, number=n, blocks=(block, n)) for n in range(10)}
        assert len(where) == 1


def test_more_blocks_can_be_the_key():
    picker = Chwbl(msgspec.structs.replace(DEFAULTS, key_blocks=2))
    where = {first(picker, several(8), blocks=(1, draw(str(n)))) for n in range(50)}
    assert len(where) > 4
    assert first(picker, several(8), blocks=(1,)) == first(Chwbl(DEFAULTS), several(8), blocks=(1,))


def test_a_session_goes_before_the_prompt():
    picker = Chwbl(DEFAULTS)
    where = {first(picker, several(8), session="s", blocks=(draw(str(n)),)) for n in range(30)}
    assert len(where) == 1


def test_the_bound():
    picker, candidates = Chwbl(DEFAULTS), several(4)
    chosen = Counter()
    for number in range(100):
        name = first(picker, candidates, number=number, blocks=(5,))
        next(each for each in candidates if each.endpoint == name).in_flight += 1
        chosen[name] += 1
    assert max(chosen.values()) <= 32  # 101 / 4 * 1.25, rounded up
    assert len(chosen) == 4


def test_without_a_key_the_least_busy():
    candidates = [candidate("a:1", in_flight=3), candidate("b:1", in_flight=1)]
    choice = Chwbl(DEFAULTS).choose(asked(), candidates, NOW)
    assert (choice.endpoints, choice.rung) == (("b:1", "a:1"), "in_flight")


def test_explained_by_places():
    picker, candidates = Chwbl(DEFAULTS), several(6)
    choice = picker.choose(asked(blocks=(9,)), candidates, NOW)
    said = picker.explain(asked(blocks=(9,)), candidates, NOW)
    assert tuple(each.endpoint for each in said[:4]) == choice.endpoints
    assert [each.cost for each in said] == [0, 1, 2, 3, 4, 5]
    (least, *_) = picker.explain(asked(), [candidate("a:1", in_flight=2), *candidates], NOW)
    assert least.terms == {"in_flight": 0.0}
