"""Our own counts, the smallest first."""

from extproc.routing.pickers.least_request import LeastRequest
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import NOW, asked, candidate

CANDIDATES = [
    candidate(f"{count}:1", in_flight=count, waiting=9 - count) for count in (5, 2, 8, 3, 7)
]


def test_the_smallest_first():
    choice = LeastRequest(DEFAULTS, Prefixes()).choose(asked(), CANDIDATES, NOW)
    assert choice.endpoints == ("2:1", "3:1", "5:1", "7:1")


def test_explained():
    said = LeastRequest(DEFAULTS, Prefixes()).explain(asked(), CANDIDATES, NOW)
    assert [(each.endpoint, each.terms) for each in said[:2]] == [
        ("2:1", {"in_flight": 2.0}),
        ("3:1", {"in_flight": 3.0}),
    ]
