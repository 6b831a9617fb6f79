"""The fact, and what is left of it at the end."""

import pytest

from extproc.counting.counted import Counted, Truth
from extproc.counting.mix import Mix

MIX = Mix(400, 20, 0, 3, 2)


@pytest.mark.parametrize(
    ("fact", "truth"),
    [
        (Counted(5), Truth(5, "estimate", 1)),
        (Counted(5, "tokenizer", is_exact=True, answers=3), Truth(5, "tokenizer", 3)),
        (Counted(120, mix=MIX), Truth(120, "estimate", 1)),
        (Counted(0, "tokenizer", answers=0), Truth(0, "tokenizer", 1)),
    ],
)
def test_it_comes_back_as_it_went(fact, truth):
    as_envoy_has_it = {
        name: float(value) if isinstance(value, int) else value
        for name, value in fact.witness().items()
    }
    assert Truth.read(as_envoy_has_it) == truth


@pytest.mark.parametrize(
    "witness", [{}, {"prompt_estimate": "x"}, {"prompt_estimate": 1, "answers": "x"}]
)
def test_what_was_not_counted(witness):
    assert Truth.read(witness) is None


def test_nothing_is_said_twice():
    assert Counted(5, "engine").witness() == {"prompt_estimate": 5, "counted_by": "engine"}
