"""The shortest queue."""

import pytest

from extproc.routing.pickers.queue_depth import QueueDepth
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import DEFAULTS
from tests.extproc.routing.candidates import NOW, asked, candidate


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"waiting": 0, "running": 200}, {"waiting": 1}),
        ({"waiting": 1}, {"waiting": 1, "unseen": 1}),
        ({"waiting": 1, "running": 3}, {"waiting": 1, "running": 4}),
        ({"waiting": 2}, {"age_s": 3.0, "in_flight": 3}),
        ({"age_s": 3.0, "in_flight": 1, "waiting": 9}, {"waiting": 2}),
    ],
)
def test_the_one_before_the_other(one, other):
    candidates = [candidate("x:1"), candidate("other:1", **other), candidate("one:1", **one)][1:]
    choice = QueueDepth(DEFAULTS, Prefixes()).choose(asked(), candidates, NOW)
    assert choice.endpoints == ("one:1", "other:1")


def test_old_looks_do_not_count():
    candidates = [
        candidate("a:1", age_s=5.0, waiting=0, in_flight=2),
        candidate("b:1", age_s=5.0, waiting=50, in_flight=1),
    ]
    choice = QueueDepth(DEFAULTS, Prefixes()).choose(asked(), candidates, NOW)
    assert (choice.endpoints, choice.rung) == (("b:1", "a:1"), "in_flight")
