"""llm-d's scorers."""

import msgspec
import pytest

from engines.load import Adapters
from extproc.routing.pickers.weighted import Weighted, score_adapter, spread
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import DEFAULTS, Weights
from tests.extproc.routing.candidates import NOW, asked, candidate


@pytest.mark.parametrize(
    ("counts", "stretched"),
    [([3], [0]), ([2, 2], [0, 0]), ([1, 3, 2], [0, 1, 0.5]), ([0, 10**18], [0, 1])],
)
def test_spread(counts, stretched):
    assert spread(counts) == stretched


@pytest.mark.parametrize(
    ("adapters", "score"),
    [
        (Adapters(2, ("mine",)), 1.0),
        (Adapters(2, ("x",)), 0.8),
        (Adapters(2, ("x",), ("mine",)), 0.6),
        (Adapters(1, ("x",)), 0.0),
    ],
)
def test_adapters(adapters, score):
    assert score_adapter("mine", candidate(adapters=adapters)) == score
    assert score_adapter("", candidate(adapters=adapters)) == 1.0


def terms(settings=DEFAULTS):
    prefixes = Prefixes()
    prefixes.note("a:1", [1, 2, 3])
    candidates = [
        candidate("a:1", waiting=4, kv_usage=0.5),
        candidate("b:1", waiting=0, kv_usage=0.9, in_flight=5),
    ]
    said = Weighted(settings, prefixes).explain(asked(blocks=(1, 2, 3, 4)), candidates, NOW)
    return {each.endpoint: each for each in said}


def test_the_sum_of_four():
    said = terms()
    assert said["a:1"].terms == pytest.approx(
        {"queue": 2.0, "kv_cache": 1.0, "prefix": 0.75, "adapter": 0.0, "requests": 0.0}
    )
    assert said["b:1"].terms == pytest.approx(
        {"queue": 0.0, "kv_cache": 1.8, "prefix": 3.0, "adapter": 0.0, "requests": 0.0}
    )
    assert said["a:1"].cost == pytest.approx(3.75)


def test_weights_are_settable():
    weights = Weights(queue=10.0, kv_cache=0.0, prefix=1.0, requests=2.0)
    said = terms(msgspec.structs.replace(DEFAULTS, weights=weights))
    assert said["a:1"].cost == pytest.approx(10.25)
    assert said["b:1"].cost == pytest.approx(3.0)


def test_old_looks_do_not_count():
    candidates = [
        candidate("a:1", age_s=5.0, waiting=0, in_flight=2, kv_usage=0.0),
        candidate("b:1", age_s=5.0, waiting=50, in_flight=1, kv_usage=1.0),
    ]
    choice = Weighted(DEFAULTS, Prefixes()).choose(asked(), candidates, NOW)
    assert (choice.endpoints, choice.rung) == (("b:1", "a:1"), "in_flight")
