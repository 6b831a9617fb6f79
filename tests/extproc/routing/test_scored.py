"""Pickers that give every candidate a number."""

from typing import ClassVar

from extproc.routing.prefixes import Prefixes
from extproc.routing.scored import Scored
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import NOW, asked, candidate, several


class ByName(Scored):
    def weigh(self, asked, among, rung, now_s):
        return [float(each.endpoint.split(".")[-1][:-2]) for each in among]

    def split(self, asked, among, rung, now_s):
        return [{"rung": rung} for _ in among]


class Blind(ByName):
    looks: ClassVar[bool] = False


def test_the_smallest_comes_first():
    choice = ByName(DEFAULTS, Prefixes()).choose(asked(), several(6)[::-1], NOW)
    assert choice.endpoints == ("10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1")
    assert choice.rung == "predicted"


def test_without_looks_the_ring_decides_unless_none_are_needed():
    old = several(6, age_s=99.0)
    request = asked(blocks=(2**63,))
    assert ByName(DEFAULTS, Prefixes()).choose(request, old, NOW).rung == "hash"
    assert Blind(DEFAULTS, Prefixes()).choose(request, old, NOW).rung == "in_flight"


def test_explained_best_first():
    said = ByName(DEFAULTS, Prefixes()).explain(asked(), several(3)[::-1], NOW)
    assert [each.cost for each in said] == [1.0, 2.0, 3.0]
    (old,) = ByName(DEFAULTS, Prefixes()).explain(asked(), [candidate(age_s=99.0)], NOW)
    assert old.terms == {"rung": "in_flight"}
