"""Tokens to a limit's unit, before and after."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.decision import Outcome
from extproc.limits.amounts import Estimate, nano_usd, spent
from extproc.limits.base import LARGEST, Algorithm, Limit, Spent, Unit
from ledger.price import MAX_TOKENS
from ledger.sighting import Usage

PRICE = "1/0.5/2"
SIZE = Estimate(100, 150, 20, 500, PRICE)


def limit(unit, *, strict=False):
    kind = Algorithm.SEMAPHORE if unit is Unit.CONCURRENT else Algorithm.TOKEN_BUCKET
    return Limit(name="l", algorithm=kind, unit=unit, amount=10**9, period_s=60, strict=strict)


@pytest.mark.parametrize(
    ("unit", "usual", "strict"),
    [
        (Unit.TOKENS, 120, 650),
        (Unit.PROMPT_TOKENS, 100, 150),
        (Unit.COMPLETION_TOKENS, 20, 500),
        (Unit.REQUESTS, 1, 1),
        (Unit.CONCURRENT, 1, 1),
        (Unit.USD, 140_000, 1_150_000),
    ],
)
def test_what_is_reserved(unit, usual, strict):
    assert SIZE.amount(limit(unit)) == usual
    assert SIZE.amount(limit(unit, strict=True)) == strict


def test_an_absurd_size_is_still_a_number_that_can_be_counted():
    vast = Estimate(2**60, 2**60, 2**60, 2**60, "10000/10000/10000")
    for unit in Unit:
        assert 0 < vast.amount(limit(unit)) <= LARGEST


@pytest.mark.parametrize("price", ["", "free", "1/2", "nan/nan/nan", "-1/0/0"])
def test_without_a_price_nothing_is_charged(price):
    assert nano_usd(price, Usage(1000, 1000, 0)) == 0


@given(st.integers(0, 10**10), st.integers(0, 10**10), st.integers(0, 2**20), st.integers(0, 2**20))
def test_money_is_rounded_up_to_a_nano_dollar_and_no_further(price_in, price_out, read, written):
    price = f"{Decimal(price_in).scaleb(-6):f}//{Decimal(price_out).scaleb(-6):f}"
    exact = Decimal(price_in * read + price_out * written).scaleb(-3)
    assert 0 <= nano_usd(price, Usage(read, written, 0)) - exact < 1


def outcome(status=200, attempts=1, **usage):
    return Outcome({}, status, attempts, (), usage)


@pytest.mark.parametrize(
    ("end", "used"),
    [
        (outcome(prompt_tokens=10, completion_tokens=4), Spent(10, 0, 4, 18_000)),
        (outcome(prompt_tokens=10, completion_tokens=4, cached_tokens=8), Spent(10, 8, 4, 14_000)),
        (outcome(prompt_tokens=10), Spent(10, 0, 0, 10_000)),
        (outcome(prompt_tokens=10, cached_tokens=99), Spent(10, 10, 0, 5_000)),
        # Left midway, and the engine had said how far it was.
        (outcome(status=0, prompt_tokens=10, completion_tokens=1), Spent(10, 0, 1, 12_000)),
        # Left before the first word: the engine has read the prompt.
        (outcome(status=0), Spent(77, 0, 0, 77_000)),
        # Left while it was being decided.
        (outcome(status=0, attempts=0), None),
        (outcome(status=400), None),
        (outcome(status=503, attempts=3), None),
        (outcome(status=429, attempts=0), None),
        # An answer without a word about tokens, and one that no engine gave.
        (outcome(status=200), Spent(77, 0, 0, 77_000)),
        (outcome(status=200, attempts=0), Spent(0, 0, 0, 0)),
        # Nonsense is no word about tokens: as in the ledger.
        (outcome(prompt_tokens=MAX_TOKENS + 1, completion_tokens=4), Spent(77, 0, 4, 85_000)),
        (outcome(prompt_tokens=10, completion_tokens=10**15 - 1), Spent(10, 0, 0, 10_000)),
        (outcome(prompt_tokens=10, cached_tokens=-1), Spent(10, 0, 0, 10_000)),
    ],
)
def test_what_was_used(end, used):
    assert spent(end, 77, PRICE) == used
