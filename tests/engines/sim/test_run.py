from math import inf

import pytest

from engines.sim.answer import Words
from engines.sim.run import EARLY_S, Choice, Run
from engines.sim.tokens import Tokenizer


def run_of(*lengths: int, n: int = 1, first_s: float = 1.0, itl_s: float = 0.5) -> Run:
    """A request whose choices have so many tokens."""
    prompt = Tokenizer(16).prompt("one two three")
    choices = tuple(
        Choice(at, Words(("a",) * length, "length"), prompt, 0, 0, 0)
        for at, length in enumerate(lengths)
    )
    return Run(choices, n, 0.0, first_s, itl_s)


def test_a_request_is_as_long_as_its_longest_choice():
    run = run_of(3, 5, n=2)
    assert (run.steps, run.last_s) == (5, 3.0)
    assert (run.prompt_tokens, run.completion_tokens) == (3, 8)
    assert [run.generated(steps) for steps in (0, 2, 4, 5)] == [0, 4, 7, 8]


@pytest.mark.parametrize(
    ("now_s", "steps"),
    [(0.0, 0), (0.998, 0), (1.0 - EARLY_S, 1), (1.4, 1), (1.6, 2), (3.0, 5), (inf, 5)],
)
def test_steps_by_the_clock(now_s: float, steps: int):
    assert run_of(5).steps_by(now_s) == steps


def test_what_never_begins():
    assert run_of(5, first_s=inf).steps_by(1e12) == 0
