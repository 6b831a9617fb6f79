"""What holds for every picker, whatever it is told."""

from collections import Counter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.routing.candidate import TRIES
from extproc.routing.chance import draw
from extproc.routing.pickers import PICKERS, make_picker
from extproc.routing.prefixes import Prefixes
from extproc.routing.settings import Algorithm, PickerSettings
from tests.extproc.routing.candidates import ASKED, NOW, anything, asked, candidate, several

EVERY = pytest.mark.parametrize("algorithm", PICKERS)
KINDS = frozenset({"predicted", "in_flight", "hash", "any"})


def make(algorithm, prefixes=None):
    return make_picker(
        PickerSettings(algorithm=algorithm), Prefixes() if prefixes is None else prefixes
    )


def test_every_name_has_a_picker():
    assert set(PICKERS) == set(get_args(Algorithm))


@given(
    st.sampled_from(sorted(PICKERS)),
    st.lists(st.tuples(ASKED, anything()), min_size=1, max_size=3),
)
def test_any_candidates_give_a_valid_choice(algorithm, rounds):
    prefixes = Prefixes()
    picker = make(algorithm, prefixes)
    for request, candidates in rounds:
        choice = picker.choose(request, candidates, NOW)
        names = [each.endpoint for each in candidates]
        assert 1 <= len(choice.endpoints) == len(set(choice.endpoints)) <= TRIES
        assert set(choice.endpoints) <= set(names)
        assert choice.rung in KINDS
        assert 0 <= choice.cached_tokens <= max(request.prompt_tokens, 0)
        said = picker.explain(request, candidates, NOW)
        assert sorted(each.endpoint for each in said) == sorted(names)
        prefixes.note(choice.endpoints[0], request.blocks, NOW)


@EVERY
def test_a_retry_goes_elsewhere(algorithm):
    choice = make(algorithm).choose(asked(), several(9), NOW)
    assert len(choice.endpoints) == TRIES
    alone = make(algorithm).choose(asked(), several(1), NOW)
    assert alone.endpoints == ("10.0.0.1:1",)


@EVERY
def test_all_processes_choose_alike(algorithm):
    for number in range(20):
        request = asked(number, blocks=(number, number + 1))
        one, other = (make(algorithm).choose(request, several(9), NOW) for _ in range(2))
        assert one == other


@EVERY
def test_among_equals_all_get_something(algorithm):
    picker, candidates = make(algorithm), several(5)
    chosen = Counter(
        picker.choose(asked(number, blocks=(draw(str(number)),)), candidates, NOW).endpoints[0]
        for number in range(500)
    )
    assert len(chosen) == 5
    assert min(chosen.values()) > 40


@EVERY
def test_one_that_is_not_warm_gets_its_share_of_a_share(algorithm):
    picker, candidates = make(algorithm), [*several(4), candidate("cold:1", warmth=0.2)]
    chosen = Counter(
        picker.choose(asked(number, blocks=(draw(str(number)),)), candidates, NOW).endpoints[0]
        for number in range(1000)
    )
    assert 5 < chosen["cold:1"] < 90


@EVERY
def test_when_all_are_cold_all_are_served(algorithm):
    candidates = several(3, warmth=1e-9)
    assert len(make(algorithm).choose(asked(), candidates, NOW).endpoints) == 3


@EVERY
def test_cold_ones_still_serve_retries(algorithm):
    candidates = [candidate("warm:1"), candidate("cold:1", warmth=1e-9)]
    assert make(algorithm).choose(asked(), candidates, NOW).endpoints == ("warm:1", "cold:1")


LADDER = {
    "predicted_ttft": ("predicted", "in_flight", "hash", "any"),
    "weighted": ("predicted", "in_flight", "hash", "any"),
    "peak_ewma": ("predicted", "in_flight", "hash", "any"),
    "queue_depth": ("predicted", "in_flight", "hash", "any"),
    "disaggregated": ("predicted", "in_flight", "hash", "any"),
    "least_request": ("in_flight",) * 4,
    "token_estimate": ("in_flight",) * 4,
    "chwbl": ("hash", "hash", "hash", "in_flight"),
    "round_robin": ("any",) * 4,
    "random": ("any",) * 4,
}


@pytest.mark.parametrize(("algorithm", "rungs"), LADDER.items())
def test_the_ladder(algorithm, rungs):
    """Fresh looks, older ones, none for long; and then with nothing to hash."""
    picker = make(algorithm)
    keyed, bare = asked(blocks=(1, 2)), asked()
    told = [picker.choose(keyed, several(4, age_s=age_s), NOW).rung for age_s in (0.5, 5.0, 60.0)]
    told.append(picker.choose(bare, several(4, age_s=60.0), NOW).rung)
    assert tuple(told) == rungs


@EVERY
def test_explaining_changes_nothing(algorithm):
    candidates = several(6, waiting=1, kv_usage=0.5)
    explained, silent = make(algorithm), make(algorithm)
    for number in range(10):
        request = asked(number, blocks=(number,))
        explained.explain(request, candidates, NOW)
        assert explained.choose(request, candidates, NOW) == silent.choose(request, candidates, NOW)
